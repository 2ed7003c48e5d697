/* SPDX-License-Identifier: MIT
 *
 * fathom.h - depth maps from pictures, on CPUs.
 *
 *     fathom_error err;
 *     fathom_model *model = NULL;
 *     fathom_session *session = NULL;
 *     fathom_image image = {0};
 *     fathom_map map = {0};
 *     if (fathom_model_open(&model, "vits.fathom", &err) ||
 *         fathom_image_load(&image, "photo.jpg", NULL, &err) ||
 *         fathom_session_create(&session, model, image.width, image.height, NULL, &err) ||
 *         fathom_session_run(session, &image, &map, &err) ||
 *         fathom_map_write(&map, "depth.png", NULL, NULL, &err))
 *         fprintf(stderr, "%s\n", err.message);
 *     fathom_map_free(&map);
 *     fathom_session_destroy(&session);
 *     fathom_image_free(&image);
 *     fathom_model_close(&model);
 *
 * fathom_stereo.h (pairs of pictures) and fathom_measure.h (scale, ground truth) come with it.
 * tools/examples/pool.c is the same for many pictures: threads over one model, and Ctrl-C.
 *
 * Rules that hold everywhere
 *   - A function that can fail returns a status, 0 for success, and writes one sentence to *err
 *     (what was found, what was expected, the way out). `err` may be NULL.
 *   - x_create/open/load fill an object that x_destroy/close/free releases. Those take the address,
 *     leave NULL (or an empty struct) behind, and do nothing for NULL or an empty struct.
 *     A failed call leaves nothing to release.
 *   - The library never exits, never prints, and reads one environment variable, FATHOM_CPU.
 *   - A model is immutable: any number of threads may use one. A session belongs to one thread at a
 *     time, and must be destroyed before its model is closed. Results are the same bytes for any
 *     number of threads.
 *   - Option structs: zero means "the default", NULL means all defaults. They and all strings in
 *     them need to live only until the call returns.
 */
#ifndef FATHOM_H
#define FATHOM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FATHOM_API __attribute__((visibility("default")))
#else
#define FATHOM_API
#endif

/* ---- status ------------------------------------------------------------------------------- */

/* Numbers are stable. `fathom` (the command) exits with 0, or with the tens digit of these:
 * 1 argument, 2 file or format, 3 model, 4 memory, 5 picture; 6 some of several inputs failed;
 * 7 `fathom diff` found more than it was allowed; 8 cancelled, which only programs over the library
 * see: the command ends by the signal that stopped it. */
typedef enum fathom_status {
    FATHOM_OK = 0,
    FATHOM_E_ARGUMENT = 10,  /* a bad argument or option */
    FATHOM_E_UNITS = 11,     /* metres asked of a relative map without a scale */
    FATHOM_E_FIT = 12,       /* points that do not determine a scale and a shift */
    FATHOM_E_IO = 20,        /* a file could not be opened, read or written */
    FATHOM_E_FORMAT = 21,    /* a file is not what it says, or is damaged */
    FATHOM_E_VERSION = 22,   /* a file of a newer or unknown format version */
    FATHOM_E_CHECKSUM = 23,  /* stored and computed checksum differ */
    FATHOM_E_MODEL = 30,     /* config and tensors of a weights file do not make a model we run */
    FATHOM_E_NUMERIC = 31,   /* a stage produced NaN or infinity */
    FATHOM_E_MEMORY = 40,    /* out of memory */
    FATHOM_E_IMAGE = 50,     /* a picture could not be decoded */
    FATHOM_E_TOO_LARGE = 51, /* a size is over its limit */
    FATHOM_E_PAIR = 52,      /* two pictures that are no stereo pair */
    FATHOM_E_CANCELLED = 80  /* fathom_session_cancel ended the run */
} fathom_status;

typedef struct fathom_error {
    fathom_status status;
    char message[1020]; /* one sentence, UTF-8, no newline */
} fathom_error;

/* "0.1.0". */
FATHOM_API const char *fathom_version(void);

/* ---- what a depth map's numbers mean ------------------------------------------------------- */

typedef enum fathom_kind {
    /* Affine-invariant disparity: value = a / depth + b with a > 0, a and b unknown and different
     * for each picture. Larger is nearer. Never metres. */
    FATHOM_KIND_RELATIVE_INVERSE = 1,
    /* Depth along the optical axis in metres, larger is farther. */
    FATHOM_KIND_METRIC = 2,
    /* Of a rectified stereo pair: by how many pixels a point lies further left in the right picture than
     * in the left one. Larger is nearer; depth = focal * baseline / (disparity + doffs). */
    FATHOM_KIND_DISPARITY = 3,
    /* How far a depth map is to be trusted, 0 to 1: see fathom_session_confidence. Larger is surer. */
    FATHOM_KIND_CONFIDENCE = 4
} fathom_kind;

/* A depth map and all that is needed to read its numbers. `values` is row-major, no padding. */
typedef struct fathom_map {
    int width, height;
    float *values;             /* owned, width * height; finite, but for NaN = "no value" in a map
                                * that was read from a PNG, is of a stereo pair, or has masked edges
                                * or sky; infinity for sky where that was asked for */
    fathom_kind kind;
    int net_width, net_height; /* what the network saw, pixels; 0 when unknown */
    char model[96];            /* model.name of the weights file, "" when unknown */
    char checkpoint_sha256[65]; /* of the original checkpoint, hex, "" when unknown */
} fathom_map;

/* ---- model --------------------------------------------------------------------------------- */

typedef struct fathom_model fathom_model;

typedef struct fathom_model_info { /* strings are borrowed from the model */
    const char *name, *family, *licence, *source, *source_sha256;
    fathom_kind kind;
    float max_depth;      /* metres; 0 for relative models */
    uint64_t parameters;  /* values in all tensors */
    uint64_t file_bytes;
    size_t tensors, config_lines;
    int input_size;       /* default --size: network pixels on the side that input.rule aims at */
    int input_multiple;   /* network width and height are multiples of this */
    int quantized;        /* 1: the encoder's matrices are 8-bit, see FATHOM_PRECISION_INT8 */
} fathom_model_info;

typedef struct fathom_tensor_info { /* strings are borrowed from the model */
    const char *name, *type; /* "f32", "f16", "bf16", "i8" */
    int ndim;
    uint64_t dim[4];
    uint64_t offset, bytes; /* in the file */
    uint32_t crc32;
} fathom_tensor_info;

/* Maps a weights file (.fathom, see weights/FORMAT.md) and checks all of it: structure, checksums,
 * config, every tensor's presence and shape. All that is missing is named at once. */
FATHOM_API fathom_status fathom_model_open(fathom_model **model, const char *path,
                                           fathom_error *err);

/* The same on bytes in memory, borrowed until fathom_model_close, 64-byte aligned. */
FATHOM_API fathom_status fathom_model_open_memory(fathom_model **model, const void *bytes,
                                                  size_t size, fathom_error *err);

FATHOM_API void fathom_model_close(fathom_model **model);

FATHOM_API void fathom_model_get_info(const fathom_model *model, fathom_model_info *info);

/* The network's input size for pictures of width x height; `size` as in the session's options.
 * Pictures with the same one can share a session. */
FATHOM_API fathom_status fathom_model_network_size(const fathom_model *model, int width, int height,
                                                   int size, int *net_width, int *net_height,
                                                   fathom_error *err);

/* The i-th tensor, i < info.tensors, in name order. Returns FATHOM_E_ARGUMENT past the end. */
FATHOM_API fathom_status fathom_model_tensor(const fathom_model *model, size_t i,
                                             fathom_tensor_info *info);

/* The i-th line "key=value" of the config block, i < info.config_lines; NULL past the end. */
FATHOM_API const char *fathom_model_config_line(const fathom_model *model, size_t i);

/* ---- pictures ------------------------------------------------------------------------------ */

typedef struct fathom_image { /* 8-bit RGB, row-major, no padding, upright (EXIF applied) */
    int width, height;
    uint8_t *rgb; /* owned by the image when filled by fathom_image_load */
    /* The picture that this stands for, when it was decoded smaller (see `enough`), else 0: the size of
     * its depth map, and what the network's size follows from. */
    int full_width, full_height;
} fathom_image;

/* Who decodes JPEGs. Their results differ by a few of 255 in a few pixels, as the standard allows. */
typedef enum fathom_decoder {
    FATHOM_DECODER_STB = 0, /* stb_image, in every build */
    FATHOM_DECODER_TURBO    /* libjpeg-turbo, faster; four components are stb_image's all the same */
} fathom_decoder;

/* "libjpeg-turbo 2.1.5"; NULL when this build does not have the decoder. */
FATHOM_API const char *fathom_decoder_version(fathom_decoder decoder);

/* Who reads "JPEG", "PNG", "BMP", "GIF", "TGA", "PNM", "TIFF" or "WebP" in this build, such as
 * "libtiff 4.5.0"; NULL: nobody does, and such a file is an error. TIFF is also written then. */
FATHOM_API const char *fathom_reader_version(const char *format);

typedef struct fathom_image_options {
    uint64_t max_pixels;   /* refuse larger pictures before decoding; default 268435456 */
    uint8_t background[3]; /* transparent pixels are composited on this; default black */
    int ignore_exif;       /* 1: keep the stored orientation */
    fathom_decoder decoder;
    /* Not 0: libjpeg-turbo may decode at 1/2, 1/4 or 1/8 of the size, in much less time, as long as the
     * shorter side keeps this many pixels. */
    int enough;
} fathom_image_options;

/* Reads JPEG, PNG, BMP, TGA, PNM or the first frame of a GIF; TIFF and WebP where this build has the
 * libraries: the first picture of a TIFF, grey, palette or RGB, and WebPs that are not animated. 16-bit
 * pictures are rounded to 8. */
FATHOM_API fathom_status fathom_image_load(fathom_image *image, const char *path,
                                           const fathom_image_options *opt, fathom_error *err);

FATHOM_API fathom_status fathom_image_load_memory(fathom_image *image, const void *bytes,
                                                  size_t size, const fathom_image_options *opt,
                                                  fathom_error *err);

/* What loading these bytes will take, from the picture's header: the size that the picture will have
 * (after EXIF; its full size), and at most how many bytes of memory beside those given, the picture
 * included. Any of the three may be NULL. Refuses what loading would refuse for its size. */
FATHOM_API fathom_status fathom_image_measure(const void *bytes, size_t size,
                                              const fathom_image_options *opt, int *width,
                                              int *height, size_t *memory, fathom_error *err);

FATHOM_API void fathom_image_free(fathom_image *image);

/* ---- session ------------------------------------------------------------------------------- */

typedef struct fathom_session fathom_session;

/* A tensor between two stages, valid during the callback only. f32, row-major.
 * [3, H, W] for "input", [N, D] for tokens (class token first), [h, w, C] for feature maps. A model
 * with a convolution stem reports "stem.0" to "stem.2" before "embed"; the first two are its taps 0 and
 * 1, so it has no "tap.0", "tap.1", "reassemble.0" and "reassemble.1". */
typedef struct fathom_stage {
    const char *name; /* "input", "embed", "block.3", "tap.0", "reassemble.2", "fusion.0", ... */
    int ndim;
    int dim[4];
    const float *data;
    double seconds; /* since the previous stage ended */
} fathom_stage;

typedef void (*fathom_stage_fn)(void *user, const fathom_stage *stage);

typedef enum fathom_gemm { /* who multiplies matrices */
    FATHOM_GEMM_DEFAULT = 0, /* fathom's own kernels */
    FATHOM_GEMM_OPENBLAS = 1 /* OpenBLAS, single-threaded on fixed parts */
} fathom_gemm;

typedef enum fathom_precision { /* of the encoder's matrix products; but for bf16, all else is f32 */
    FATHOM_PRECISION_F32 = 0,
    /* bf16 operands, f32 sums, also in the decoder's products, on CPUs that have the
     * instructions (AVX512_BF16); elsewhere f32 arithmetic on the weights as they are. Within about 1e-3
     * of the map's range on average. */
    FATHOM_PRECISION_BF16 = 1,
    /* 8-bit weights and activations, exact integer sums; the decoder in bf16 on CPUs that have it, else
     * f32; attention likewise, or on bytes too where a CPU has AVX512_BF16 and VNNI but no AMX. Needs a file
     * that weights/quantize.py made, and such a file runs in nothing else: it is what F32, the default, means
     * for it. Its error is in its config (quant.mean_error). */
    FATHOM_PRECISION_INT8 = 2
} fathom_precision;

/* What becomes of the rim between foreground and background: where disparities within two network pixels
 * differ by more than a tenth of the map's range. The network smears two depths there into one. */
typedef enum fathom_edges {
    FATHOM_EDGES_KEEP = 0,
    FATHOM_EDGES_MASK,   /* NaN */
    FATHOM_EDGES_SHARPEN /* snapped to the edges of the picture */
} fathom_edges;

/* What becomes of sky: what looks like it, and has a disparity near zero. */
typedef enum fathom_sky {
    FATHOM_SKY_KEEP = 0,
    FATHOM_SKY_MASK,    /* NaN */
    FATHOM_SKY_INFINITE /* infinity; of metric models only, else FATHOM_E_UNITS */
} fathom_sky;

typedef struct fathom_session_options {
    int threads;   /* default: the cores this process may run on */
    int size;      /* network pixels on the shorter side; default: the model's input_size */
    fathom_gemm gemm;
    fathom_precision precision;
    fathom_stage_fn on_stage; /* called at the end of each stage, on the calling thread */
    void *user;
    int profile;   /* 1: keep time, arithmetic and bytes of each part of a run */
    /* 1: for fathom_session_confidence. A run is then three of the network, of 2.2 times the arithmetic:
     * of the picture, of its mirror image, and at half the size. on_stage sees the first. */
    int confidence;
    int inspect;   /* 1: look for sky, and for outdoors: for fathom_session_trust */
    fathom_edges edges;
    fathom_sky sky;
} fathom_session_options;

typedef struct fathom_session_info {
    int net_width, net_height; /* network input, from the model's size rule */
    int threads;
    const char *cpu;           /* "scalar", "avx2", "avx512", "avx512bf16", "avx512amx" */
    fathom_precision precision; /* in use: F32 where the CPU lacks what was asked for */
    size_t planned_bytes;      /* all the memory of the session, which is what its runs use */
    size_t used_bytes;         /* high-water mark of the runs so far; equals planned after one, unless
                                * fathom_session_reshape made the session smaller */
} fathom_session_info;

/* The threads of a session whose options do not say: the cores that this process may use. */
FATHOM_API int fathom_default_threads(void);

/* Plans and allocates everything for pictures of width x height pixels (or any other size with the
 * same network size). No later call on the session allocates, but for fathom_session_run's map. */
FATHOM_API fathom_status fathom_session_create(fathom_session **session, const fathom_model *model,
                                               int width, int height,
                                               const fathom_session_options *opt,
                                               fathom_error *err);

/* Plans the session anew for pictures of another size, with the options that it was made with. Memory that
 * is large enough is used on, packed weights too, so that going between sizes costs next to nothing; else it
 * is given back before more is taken. What the last run left (map's size, trust, profile) is forgotten. No other
 * thread may use the session meanwhile, not even to cancel it. On failure the session is destroyed and *session NULL. */
FATHOM_API fathom_status fathom_session_reshape(fathom_session **session, int width, int height,
                                                fathom_error *err);

/* The planned_bytes that such a session would have, without making one. */
FATHOM_API fathom_status fathom_session_plan_bytes(const fathom_model *model, int width, int height,
                                                   const fathom_session_options *opt, size_t *bytes,
                                                   fathom_error *err);

FATHOM_API void fathom_session_destroy(fathom_session **session);

FATHOM_API void fathom_session_get_info(const fathom_session *session, fathom_session_info *info);

/* Picture in, depth map of the picture's (full) size out. If map->values is NULL it is allocated (release
 * with fathom_map_free); else it is taken as the caller's buffer of width * height floats. */
FATHOM_API fathom_status fathom_session_run(fathom_session *session, const fathom_image *image,
                                            fathom_map *map, fathom_error *err);

/* The network alone: normalised input [3, net_height, net_width] in, raw map [net_height,
 * net_width] out. Both are the caller's. */
FATHOM_API fathom_status fathom_session_run_tensor(fathom_session *session, const float *input,
                                                   float *output, fathom_error *err);

/* From any thread, any number of times, as long as the session lives: the run in progress returns
 * FATHOM_E_CANCELLED within a stage, with nothing allocated and the contents of buffers undefined.
 * When none is in progress, the next one returns so at once. A run that returns takes the request
 * with it: the one after it runs. */
FATHOM_API void fathom_session_cancel(fathom_session *session);

/* ---- trust --------------------------------------------------------------------------------- */

/* The confidence of the last run's map, of the same size, kind FATHOM_KIND_CONFIDENCE: for each pixel the
 * estimated probability that its depth is within 10 % of the true one after scale and shift of inverse depth
 * are fitted to the truth. From the agreement of three runs, the map's curvature, nearness, texture and
 * clipping; weights/trust/README.md says how it was fitted, on how little, and how well it holds. The session
 * needs the option `confidence`. map->values as in fathom_session_run. */
FATHOM_API fathom_status fathom_session_confidence(fathom_session *session, fathom_map *map,
                                                   fathom_error *err);

typedef enum fathom_warning { /* bits */
    FATHOM_WARNING_OUTDOORS = 1,  /* an indoor metric model, and a picture that looks like outdoors */
    FATHOM_WARNING_INDOORS = 2,   /* the reverse */
    FATHOM_WARNING_REFLECTIVE = 4 /* much that is smooth, but whose depth the mirror image contradicts:
                                   * glass, mirrors, water. Needs `confidence` */
} fathom_warning;

typedef struct fathom_trust { /* shares are of the picture, 0 to 1; NaN where the options left it out */
    double sky;           /* `inspect` or `sky`: share that looks like sky and is far */
    double outdoors;      /* `inspect` or `sky`: how much it looks like outdoors, 0 to 1 */
    double reflective;    /* `confidence`: share that is smooth and contradicted */
    double without_value; /* share that edges and sky left without a finite value */
    unsigned warnings;    /* fathom_warning bits; of the first two only metric models have any. Their error
                           * rates are in weights/trust/README.md */
} fathom_trust;

/* What the last run says of itself. */
FATHOM_API fathom_status fathom_session_trust(const fathom_session *session, fathom_trust *trust,
                                              fathom_error *err);

/* One warning as a clause whose subject is the picture; NULL for no such warning. */
FATHOM_API const char *fathom_warning_text(fathom_warning warning);

/* A part of a run, of a session with the option `profile`. */
typedef struct fathom_part {
    const char *name; /* borrowed from the session, until its next run */
    double seconds;   /* since the part before it ended: a run is the sum of its parts */
    double flop;      /* executed: a multiply-add is two; padding and epilogues are not counted */
    double bytes;     /* that must be moved at least: operands read once, the result written once */
    const char *unit; /* "f32", "bf16" or "int8": of its products, whose peak is the measure */
} fathom_part;

/* The i-th part of the last run, in order:
 *     preprocess, stem.S (of a model that has one), embed,
 *     block.I.qkv, block.I.attention, block.I.projection, block.I.mlp, tap.K after tapped blocks,
 *     reassemble.K, rn.K, fusion.K from coarse to fine, head.conv1, head, postprocess,
 *     inspect, all from embed to head of the half-sized and the mirrored picture, confidence, treat,
 *         where the options ask for them;
 * norms belong to the part that follows. fathom_session_run_tensor has no first and last one.
 * FATHOM_E_ARGUMENT past the end, before the first run, and without the option. */
FATHOM_API fathom_status fathom_session_part(const fathom_session *session, size_t i,
                                             fathom_part *part);

/* ---- the machine --------------------------------------------------------------------------- */

/* The most that the kernels of one instruction set could do, measured where it is to be used.
 * 0 where the CPU has no such instructions. */
typedef struct fathom_limits {
    double f32, bf16; /* GFLOP/s of multiply-adds in registers */
    double int8;      /* the same of 8-bit integers, in 1e9 operations a second */
    double read;      /* GB/s (1e9) from memory, of a buffer that no cache holds */
} fathom_limits;

typedef struct fathom_machine {
    const char *cpu;        /* the instruction set, as in fathom_session_info */
    int threads;            /* of `all` */
    fathom_limits one, all; /* on one thread, on all of them */
} fathom_machine;

/* Takes about a second, `threads` (0: the cores this process may run on) and, for as long, a buffer
 * of four times the last cache, 128 MiB to 1 GiB. Other work on the machine makes the figures less. */
FATHOM_API fathom_status fathom_machine_measure(int threads, fathom_machine *machine,
                                                fathom_error *err);

/* ---- depth maps ---------------------------------------------------------------------------- */

typedef enum fathom_format {
    FATHOM_FORMAT_AUTO = 0, /* by the extension: .png .pfm .npy .tiff .tif */
    FATHOM_FORMAT_PNG16,    /* 16-bit grey + text chunks that say how to read it */
    FATHOM_FORMAT_PFM,      /* float32, raw values, bottom row first */
    FATHOM_FORMAT_NPY,      /* float32, raw values */
    FATHOM_FORMAT_COLOR,    /* 8-bit RGB PNG for looking, near is warm */
    FATHOM_FORMAT_TIFF,     /* float32, raw values + a description that says what they are */
    FATHOM_FORMAT_TIFF16    /* 16-bit grey, deflated + a description that says how to read it */
} fathom_format;

typedef struct fathom_write_options {
    fathom_format format;
    int reverse_color; /* FATHOM_FORMAT_COLOR: near is cold */
    int png_level;     /* of PNG and TIFF16: 1 (fast) to 9 (small); 0: the default, 1; -1: none */
} fathom_write_options;

/* How integer codes stand for values: value = offset + scale * code. Codes below first_code are
 * "no value". Filled by the encoder for PNG16 and TIFF16; scale 1, offset 0 for float formats;
 * scale 0 for FATHOM_FORMAT_COLOR, whose codes are colors. */
typedef struct fathom_encoding {
    fathom_format format;
    double scale, offset;
    int first_code;
    char unit[24]; /* "m", "px", "relative" or "probability" */
} fathom_encoding;

/* The TIFFs need libtiff in the build: see fathom_reader_version. Their ImageDescription has a line
 * "fathom:kind=metric" for each of the PNG's text chunks.
 *
 * Encodes to a new buffer (*bytes, release with free()). `encoding` may be NULL. */
FATHOM_API fathom_status fathom_map_encode(const fathom_map *map, const fathom_write_options *opt,
                                           void **bytes, size_t *size, fathom_encoding *encoding,
                                           fathom_error *err);

/* Encodes, writes to a temporary name beside `path`, syncs, renames: never a partial file. (Devices
 * and pipes are written directly.) `encoding` may be NULL. */
FATHOM_API fathom_status fathom_map_write(const fathom_map *map, const char *path,
                                          const fathom_write_options *opt,
                                          fathom_encoding *encoding, fathom_error *err);

/* An 8-bit grey PNG of width x height values, such as `filled` of fathom_disparity_fill; written as
 * fathom_map_write does. */
FATHOM_API fathom_status fathom_mask_write(const uint8_t *mask, int width, int height,
                                           const char *path, fathom_error *err);

/* Reads a map that fathom wrote (PNG16, PFM, NPY, TIFF, TIFF16) back to values. PFM, NPY, and float32 TIFFs
 * of others carry no kind: `map->kind` is 0 then. `encoding` may be NULL. */
FATHOM_API fathom_status fathom_map_read(fathom_map *map, const char *path,
                                         fathom_encoding *encoding, fathom_error *err);

/* Turns a map into metres in place. Metric maps pass unchanged (scale and shift must be 0).
 * Relative maps need the caller's scale > 0: depth = 1 / (scale * value + shift), at most
 * max_depth (> 0; values at or below 0 mean "infinitely far" and become max_depth).
 * FATHOM_E_UNITS when the map is relative and scale is 0. */
FATHOM_API fathom_status fathom_map_to_metres(fathom_map *map, double scale, double shift,
                                              double max_depth, fathom_error *err);

FATHOM_API void fathom_map_free(fathom_map *map);

#ifdef __cplusplus
}
#endif

#include <fathom_measure.h>
#include <fathom_stereo.h>

#endif
