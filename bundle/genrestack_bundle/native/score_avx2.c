/* Scores by AVX2. Only these functions are compiled for it; whether the processor has it is asked at run time. */
#include "score.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

/* One group of a row's codes, four times. */
AVX2 static __m256i query_group(const uint8_t *codes) {
  int64_t group;
  memcpy(&group, codes, sizeof group);
  return _mm256_set1_epi64x(group);
}

AVX2 static __m256i load(const uint8_t *codes) { return _mm256_loadu_si256((const __m256i *)codes); }

AVX2 static void score_l1(const ScoreTile *tile, const ScoreQuery *query, int32_t *scores) {
  const uint8_t *codes = tile->codes;
  for (size_t block = 0; block < tile->blocks; block++, scores += KNN_BLOCK) {
    /* Two sums of each half, for a sum waits for the one before. */
    __m256i low = _mm256_setzero_si256(), high = low, low2 = low, high2 = low;
    size_t group = 0;
    for (; group + 2 <= tile->groups; group += 2, codes += 2 * KNN_BLOCK_BYTES) {
      __m256i q = query_group(query->codes + group * KNN_GROUP);
      __m256i r = query_group(query->codes + (group + 1) * KNN_GROUP);
      low = _mm256_add_epi64(low, _mm256_sad_epu8(load(codes), q));
      high = _mm256_add_epi64(high, _mm256_sad_epu8(load(codes + 32), q));
      low2 = _mm256_add_epi64(low2, _mm256_sad_epu8(load(codes + 64), r));
      high2 = _mm256_add_epi64(high2, _mm256_sad_epu8(load(codes + 96), r));
    }
    if (group < tile->groups) {
      __m256i q = query_group(query->codes + group * KNN_GROUP);
      low = _mm256_add_epi64(low, _mm256_sad_epu8(load(codes), q));
      high = _mm256_add_epi64(high, _mm256_sad_epu8(load(codes + 32), q));
      codes += KNN_BLOCK_BYTES;
    }
    low = _mm256_add_epi64(low, low2);
    high = _mm256_add_epi64(high, high2);
    /* The low halves of the 64-bit sums: points 0 1 4 5 | 2 3 6 7, put in order. */
    __m256i mixed = _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high), _MM_SHUFFLE(2, 0, 2, 0)));
    _mm256_storeu_si256((__m256i *)scores, _mm256_permute4x64_epi64(mixed, _MM_SHUFFLE(3, 1, 2, 0)));
  }
}

AVX2 static void score_l2(const ScoreTile *tile, const ScoreQuery *query, int32_t *scores) {
  const __m256i zero = _mm256_setzero_si256();
  const uint8_t *codes = tile->codes;
  for (size_t block = 0; block < tile->blocks; block++, scores += KNN_BLOCK) {
    /* Points 0 and 2, 1 and 3, 4 and 6, 5 and 7: unpacking works on halves of a register. */
    __m256i sum[4] = {zero, zero, zero, zero};
    for (size_t group = 0; group < tile->groups; group++, codes += KNN_BLOCK_BYTES) {
      __m256i q = query_group(query->codes + group * KNN_GROUP);
      for (int i = 0; i < 2; i++) {
        __m256i c = load(codes + 32 * i);
        __m256i apart = _mm256_or_si256(_mm256_subs_epu8(c, q), _mm256_subs_epu8(q, c));
        __m256i even = _mm256_unpacklo_epi8(apart, zero), odd = _mm256_unpackhi_epi8(apart, zero);
        sum[2 * i] = _mm256_add_epi32(sum[2 * i], _mm256_madd_epi16(even, even));
        sum[2 * i + 1] = _mm256_add_epi32(sum[2 * i + 1], _mm256_madd_epi16(odd, odd));
      }
    }
    __m256i first = _mm256_add_epi32(_mm256_unpacklo_epi32(sum[0], sum[1]), _mm256_unpackhi_epi32(sum[0], sum[1]));
    __m256i second = _mm256_add_epi32(_mm256_unpacklo_epi32(sum[2], sum[3]), _mm256_unpackhi_epi32(sum[2], sum[3]));
    __m256i mixed = _mm256_add_epi32(_mm256_unpacklo_epi64(first, second), _mm256_unpackhi_epi64(first, second));
    _mm256_storeu_si256((__m256i *)scores, _mm256_permute4x64_epi64(mixed, _MM_SHUFFLE(3, 1, 2, 0)));
  }
}

AVX2 static uint64_t within(const int32_t *scores, int32_t limit) {
  const __m256i most = _mm256_set1_epi32(limit);
  uint64_t above = 0;
  for (int i = 0; i < KNN_STRIDE; i += 8) {
    __m256i over = _mm256_cmpgt_epi32(_mm256_loadu_si256((const __m256i *)(scores + i)), most);
    above |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(over)) << i;
  }
  return ~above;
}

const Instructions *instructions_avx2(void) {
  static const Instructions avx2 = {"avx2", score_l1, score_l2, within};
  return __builtin_cpu_supports("avx2") ? &avx2 : NULL;
}
#else
const Instructions *instructions_avx2(void) { return NULL; }
#endif
