/* SPDX-License-Identifier: MIT
 * One row per kernel: K(return type, name, arguments). Everything else is made from this list: the
 * struct of function pointers, a table per CPU level (a kernel missing at a level does not compile),
 * and the tests' and the bench's walk over all of them. Contracts: kernels.h. */
K(void, gemm_tile, (const struct fm_gemm_tile *tile))
K(void, gemm_tile_bf16, (const struct fm_gemm_tile_bf16 *tile))
K(void, finish_rows, (float *c, ptrdiff_t ldc, int rows, int columns, const struct fm_epilogue *ep))
K(void, pack_nk, (float *panel, const void *w, enum fm_dtype type, ptrdiff_t ld, int n, int k, int width))
K(void, pack_kn, (float *panel, const float *w, ptrdiff_t ld, int n, int k, int width))
K(void, pack_pairs, (uint32_t *panel, const uint16_t *w, ptrdiff_t ld, int n, int k, int width))
K(void, to_bf16, (uint16_t *y, const float *x, int n))
K(void, layernorm, (float *y, const float *x, const float *gamma, const float *beta, float eps, int n))
K(float, softmax, (float *x, float scale, int n))
K(void, gelu, (float *y, const float *x, int n))
K(void, silu_mul, (float *y, const float *gate, const float *up, int n))
K(void, sigmoid, (float *y, const float *x, float scale, int n))
K(void, relu, (float *y, const float *x, int n))
K(void, add_relu, (float *y, float *r, const float *x, int n))
K(void, lerp, (float *y, const float *a, const float *b, float wa, float wb, int n))
K(void, lerp_columns, (float *y, const float *x, const struct fm_lerp *at, int n, int channels))
K(void, dot_rows, (float *y, const float *x, const float *w, float bias, int rows, int n))
K(void, winograd_input, (float *v, ptrdiff_t plane, const float *const pixels[16], int channels))
K(void, winograd_output, (const struct fm_winograd_out *out, const float *m, ptrdiff_t plane, int channels))
