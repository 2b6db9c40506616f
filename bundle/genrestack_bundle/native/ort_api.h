/* The part of onnxruntime's C API that one operator needs.
 *
 * onnxruntime's wheels come without its C header. Its API is a table of functions that only grows at the end, and a
 * binary interface by promise: what has a place keeps it. So the places of the few functions used here are written down,
 * as of version 18 of the API (onnxruntime 1.18), with what they take. A server needs onnxruntime 1.26 or newer anyway.
 */
#ifndef GENRESTACK_ORT_API_H
#define GENRESTACK_ORT_API_H

#include <stddef.h>
#include <stdint.h>

enum { ORT_API = 18 };

typedef struct OrtStatus OrtStatus; /* NULL where all went well */
typedef struct OrtValue OrtValue;
typedef struct OrtShapeInfo OrtShapeInfo;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtCustomOpDomain OrtCustomOpDomain;
typedef struct OrtCustomOp OrtCustomOp;

typedef void (*OrtFunction)(void);
typedef struct {
  OrtFunction at[275];
} OrtApi;

typedef struct {
  const OrtApi *(*get_api)(uint32_t version); /* NULL where that version is not known */
  const char *(*get_version)(void);
} OrtApiBase;

enum { ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2 };
enum { ORT_TYPE_INT64 = 7, ORT_TYPE_DOUBLE = 11 };

/* Each function by its place, converted to what it is. */
#define ORT_CREATE_STATUS(api) ((OrtStatus * (*)(int code, const char *text))(api)->at[0])
#define ORT_CREATE_DOMAIN(api) ((OrtStatus * (*)(const char *name, OrtCustomOpDomain **))(api)->at[26])
#define ORT_ADD_TO_DOMAIN(api) ((OrtStatus * (*)(OrtCustomOpDomain *, const OrtCustomOp *))(api)->at[27])
#define ORT_ADD_DOMAIN(api) ((OrtStatus * (*)(OrtSessionOptions *, OrtCustomOpDomain *))(api)->at[28])
#define ORT_TENSOR_DATA(api) ((OrtStatus * (*)(OrtValue *, void **))(api)->at[51])
#define ORT_ELEMENT_TYPE(api) ((OrtStatus * (*)(const OrtShapeInfo *, int *))(api)->at[60])
#define ORT_DIMENSIONS_COUNT(api) ((OrtStatus * (*)(const OrtShapeInfo *, size_t *))(api)->at[61])
#define ORT_DIMENSIONS(api) ((OrtStatus * (*)(const OrtShapeInfo *, int64_t *, size_t count))(api)->at[62])
#define ORT_SHAPE_INFO(api) ((OrtStatus * (*)(const OrtValue *, OrtShapeInfo **))(api)->at[65])
#define ORT_ATTRIBUTE(api) ((OrtStatus * (*)(const OrtKernelInfo *, const char *name, int64_t *))(api)->at[86])
#define ORT_INPUT(api) ((OrtStatus * (*)(const OrtKernelContext *, size_t index, const OrtValue **))(api)->at[90])
#define ORT_OUTPUT(api)                                                                                          \
  ((OrtStatus * (*)(OrtKernelContext *, size_t index, const int64_t *dimensions, size_t count, OrtValue **))(api) \
       ->at[91])
#define ORT_RELEASE_SHAPE_INFO(api) ((void (*)(OrtShapeInfo *))(api)->at[99])
#define ORT_RELEASE_DOMAIN(api) ((void (*)(OrtCustomOpDomain *))(api)->at[101])
#define ORT_CONSTANT_INPUT(api) \
  ((OrtStatus * (*)(const OrtKernelInfo *, size_t index, int *is_constant, const OrtValue **))(api)->at[249])
/* With batches = 0 each index is a piece of work of its own. */
#define ORT_PARALLEL_FOR(api)                                                                             \
  ((OrtStatus * (*)(const OrtKernelContext *, void (*work)(void *, size_t), size_t total, size_t batches, \
                    void *))(api)                                                                         \
       ->at[274])

/* An operator. What `version` does not name yet is not read. */
struct OrtCustomOp {
  uint32_t version; /* of the API that this struct is of */
  void *(*create_kernel)(const OrtCustomOp *, const OrtApi *, const OrtKernelInfo *);
  const char *(*name)(const OrtCustomOp *);
  const char *(*provider)(const OrtCustomOp *); /* NULL: the CPU */
  int (*input_type)(const OrtCustomOp *, size_t index);
  size_t (*input_count)(const OrtCustomOp *);
  int (*output_type)(const OrtCustomOp *, size_t index);
  size_t (*output_count)(const OrtCustomOp *);
  void (*compute)(void *kernel, OrtKernelContext *);
  void (*destroy_kernel)(void *kernel);
  int (*input_characteristic)(const OrtCustomOp *, size_t index); /* 0: required */
  int (*output_characteristic)(const OrtCustomOp *, size_t index);
  int (*input_memory)(const OrtCustomOp *, size_t index); /* 0: the provider's */
  int (*variadic_input_least)(const OrtCustomOp *);
  int (*variadic_input_alike)(const OrtCustomOp *);
  int (*variadic_output_least)(const OrtCustomOp *);
  int (*variadic_output_alike)(const OrtCustomOp *);
  OrtStatus *(*create_kernel_v2)(const OrtCustomOp *, const OrtApi *, const OrtKernelInfo *, void **kernel);
  OrtStatus *(*compute_v2)(void *kernel, OrtKernelContext *);
  OrtStatus *(*infer_shape)(const OrtCustomOp *, void *context); /* NULL: shapes are not inferred */
  int (*first_version)(const OrtCustomOp *);
  int (*last_version)(const OrtCustomOp *);
};
enum { ORT_CUSTOM_OP_STRUCT = 17 };

#endif
