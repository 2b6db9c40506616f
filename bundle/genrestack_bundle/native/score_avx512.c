/* Scores by AVX-512 (F and BW), and squares by its VNNI where there is that. */
#include "score.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))
/* Blocks side by side: each sum waits for the one before, and a group of the row is loaded once for all of them. */
#define ABREAST 4

AVX512 static inline __m512i query_group(const uint8_t *codes) {
  int64_t group;
  memcpy(&group, codes, sizeof group);
  return _mm512_set1_epi64(group);
}

AVX512 static inline void store(int32_t *scores, __m256i eight) { _mm256_storeu_si256((__m256i *)scores, eight); }

AVX512 static inline void l1_blocks(const uint8_t *codes, size_t blocks, size_t groups, const uint8_t *query,
                                    int32_t *scores) {
  __m512i sum[ABREAST];
  for (size_t i = 0; i < blocks; i++) sum[i] = _mm512_setzero_si512();
  for (size_t group = 0; group < groups; group++) {
    __m512i q = query_group(query + group * KNN_GROUP);
    for (size_t i = 0; i < blocks; i++) {
      __m512i c = _mm512_loadu_si512(codes + (i * groups + group) * KNN_BLOCK_BYTES);
      sum[i] = _mm512_add_epi64(sum[i], _mm512_sad_epu8(c, q));
    }
  }
  for (size_t i = 0; i < blocks; i++) store(scores + i * KNN_BLOCK, _mm512_cvtepi64_epi32(sum[i]));
}

AVX512 static void score_l1(const ScoreTile *tile, const ScoreQuery *query, int32_t *scores) {
  size_t block = 0, bytes = tile->groups * KNN_BLOCK_BYTES;
  for (; block + ABREAST <= tile->blocks; block += ABREAST) {
    l1_blocks(tile->codes + block * bytes, ABREAST, tile->groups, query->codes, scores + block * KNN_BLOCK);
  }
  for (; block < tile->blocks; block++) {
    l1_blocks(tile->codes + block * bytes, 1, tile->groups, query->codes, scores + block * KNN_BLOCK);
  }
}

AVX512 static void score_l2(const ScoreTile *tile, const ScoreQuery *query, int32_t *scores) {
  const __m512i zero = _mm512_setzero_si512(), evens = _mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6);
  const uint8_t *codes = tile->codes;
  for (size_t block = 0; block < tile->blocks; block++, scores += KNN_BLOCK) {
    __m512i even = zero, odd = zero; /* points 0 2 4 6 and 1 3 5 7 */
    for (size_t group = 0; group < tile->groups; group++, codes += KNN_BLOCK_BYTES) {
      __m512i q = query_group(query->codes + group * KNN_GROUP), c = _mm512_loadu_si512(codes);
      __m512i apart = _mm512_or_si512(_mm512_subs_epu8(c, q), _mm512_subs_epu8(q, c));
      __m512i low = _mm512_unpacklo_epi8(apart, zero), high = _mm512_unpackhi_epi8(apart, zero);
      even = _mm512_add_epi32(even, _mm512_madd_epi16(low, low));
      odd = _mm512_add_epi32(odd, _mm512_madd_epi16(high, high));
    }
    __m512i two = _mm512_add_epi32(_mm512_unpacklo_epi32(even, odd), _mm512_unpackhi_epi32(even, odd));
    two = _mm512_add_epi32(two, _mm512_shuffle_epi32(two, _MM_PERM_BADC));
    store(scores, _mm512_castsi512_si256(_mm512_permutexvar_epi64(evens, two)));
  }
}

/* sum((q - c)^2) = sum(q^2) + (sum(c^2) - 256 sum(c)) - 2 sum(c (q - 128)): VNNI multiplies unsigned by signed bytes. */
VNNI static inline void vnni_blocks(const ScoreTile *tile, size_t block, size_t blocks, const ScoreQuery *query,
                                    int32_t *scores) {
  const __m512i flip = _mm512_set1_epi8((char)-128);
  const uint8_t *codes = tile->codes + block * tile->groups * KNN_BLOCK_BYTES;
  __m512i sum[ABREAST];
  for (size_t i = 0; i < blocks; i++) sum[i] = _mm512_setzero_si512();
  for (size_t group = 0; group < tile->groups; group++) {
    __m512i q = _mm512_xor_si512(query_group(query->codes + group * KNN_GROUP), flip);
    for (size_t i = 0; i < blocks; i++) {
      __m512i c = _mm512_loadu_si512(codes + (i * tile->groups + group) * KNN_BLOCK_BYTES);
      sum[i] = _mm512_dpbusd_epi32(sum[i], c, q);
    }
  }
  for (size_t i = 0; i < blocks; i++) {
    size_t point = (block + i) * KNN_BLOCK;
    __m512i both = _mm512_add_epi32(sum[i], _mm512_srli_epi64(sum[i], 32));
    __m256i product = _mm512_cvtepi64_epi32(both);
    __m256i bias = _mm256_loadu_si256((const __m256i *)(tile->bias + point));
    __m256i rest = _mm256_add_epi32(bias, _mm256_set1_epi32(query->square));
    store(scores + point, _mm256_sub_epi32(rest, _mm256_add_epi32(product, product)));
  }
}

VNNI static void score_l2_vnni(const ScoreTile *tile, const ScoreQuery *query, int32_t *scores) {
  size_t block = 0;
  for (; block + ABREAST <= tile->blocks; block += ABREAST) vnni_blocks(tile, block, ABREAST, query, scores);
  for (; block < tile->blocks; block++) vnni_blocks(tile, block, 1, query, scores);
}

AVX512 static uint64_t within(const int32_t *scores, int32_t limit) {
  const __m512i most = _mm512_set1_epi32(limit);
  uint64_t found = 0;
  for (int i = 0; i < KNN_STRIDE; i += 16) {
    found |= (uint64_t)_mm512_cmple_epi32_mask(_mm512_loadu_si512(scores + i), most) << i;
  }
  return found;
}

const Instructions *instructions_avx512(void) {
  static const Instructions avx512 = {"avx512", score_l1, score_l2, within};
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") ? &avx512 : NULL;
}

const Instructions *instructions_avx512_vnni(void) {
  static const Instructions vnni = {"avx512vnni", score_l1, score_l2_vnni, within};
  return instructions_avx512() && __builtin_cpu_supports("avx512vnni") ? &vnni : NULL;
}
#else
const Instructions *instructions_avx512(void) { return NULL; }
const Instructions *instructions_avx512_vnni(void) { return NULL; }
#endif
