/* Scores by NEON, which every aarch64 has. */
#include "score.h"

#if defined(__aarch64__)
#include <arm_neon.h>

/* Groups after which sums of 16 bits might overflow: each adds up to 2 * 255. */
enum { MOST_GROUPS = 128 };

static uint8x16_t query_group(const uint8_t *codes) { return vcombine_u8(vld1_u8(codes), vld1_u8(codes)); }

/* Sums of the elements of four registers. */
static int32x4_t four_sums(uint32x4_t a, uint32x4_t b, uint32x4_t c, uint32x4_t d) {
  return vreinterpretq_s32_u32(vpaddq_u32(vpaddq_u32(a, b), vpaddq_u32(c, d)));
}

static void score_l1(const ScoreTile *tile, const ScoreQuery *query, int32_t *scores) {
  const uint8_t *codes = tile->codes;
  for (size_t block = 0; block < tile->blocks; block++, scores += KNN_BLOCK) {
    /* Two points each, with two elements for either. */
    uint32x4_t total[4] = {vdupq_n_u32(0), vdupq_n_u32(0), vdupq_n_u32(0), vdupq_n_u32(0)};
    for (size_t group = 0; group < tile->groups;) {
      size_t end = group + MOST_GROUPS < tile->groups ? group + MOST_GROUPS : tile->groups;
      uint16x8_t sum[4] = {vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0)};
      for (; group < end; group++, codes += KNN_BLOCK_BYTES) {
        uint8x16_t q = query_group(query->codes + group * KNN_GROUP);
        for (int i = 0; i < 4; i++) sum[i] = vpadalq_u8(sum[i], vabdq_u8(vld1q_u8(codes + 16 * i), q));
      }
      for (int i = 0; i < 4; i++) total[i] = vpadalq_u16(total[i], sum[i]);
    }
    vst1q_s32(scores, vreinterpretq_s32_u32(vpaddq_u32(total[0], total[1])));
    vst1q_s32(scores + 4, vreinterpretq_s32_u32(vpaddq_u32(total[2], total[3])));
  }
}

static void score_l2(const ScoreTile *tile, const ScoreQuery *query, int32_t *scores) {
  const uint8_t *codes = tile->codes;
  for (size_t block = 0; block < tile->blocks; block++, scores += KNN_BLOCK) {
    uint32x4_t sum[KNN_BLOCK];
    for (int i = 0; i < KNN_BLOCK; i++) sum[i] = vdupq_n_u32(0);
    for (size_t group = 0; group < tile->groups; group++, codes += KNN_BLOCK_BYTES) {
      uint8x16_t q = query_group(query->codes + group * KNN_GROUP);
      for (int i = 0; i < 4; i++) {
        uint8x16_t apart = vabdq_u8(vld1q_u8(codes + 16 * i), q);
        uint8x8_t first = vget_low_u8(apart), second = vget_high_u8(apart);
        sum[2 * i] = vpadalq_u16(sum[2 * i], vmull_u8(first, first));
        sum[2 * i + 1] = vpadalq_u16(sum[2 * i + 1], vmull_u8(second, second));
      }
    }
    vst1q_s32(scores, four_sums(sum[0], sum[1], sum[2], sum[3]));
    vst1q_s32(scores + 4, four_sums(sum[4], sum[5], sum[6], sum[7]));
  }
}

static uint64_t within(const int32_t *scores, int32_t limit) {
  static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const int32x4_t most = vdupq_n_s32(limit);
  uint64_t found = 0;
  for (int i = 0; i < KNN_STRIDE; i += 16) {
    uint16x8_t half[2];
    for (int j = 0; j < 2; j++) {
      uint32x4_t a = vcleq_s32(vld1q_s32(scores + i + 8 * j), most);
      uint32x4_t b = vcleq_s32(vld1q_s32(scores + i + 8 * j + 4), most);
      half[j] = vcombine_u16(vmovn_u32(a), vmovn_u32(b));
    }
    uint8x16_t bytes = vandq_u8(vcombine_u8(vmovn_u16(half[0]), vmovn_u16(half[1])), vld1q_u8(weights));
    uint64_t bits = vaddv_u8(vget_low_u8(bytes)) | (uint64_t)vaddv_u8(vget_high_u8(bytes)) << 8;
    found |= bits << i;
  }
  return found;
}

const Instructions *instructions_neon(void) {
  static const Instructions neon = {"neon", score_l1, score_l2, within};
  return &neon;
}
#else
const Instructions *instructions_neon(void) { return NULL; }
#endif
