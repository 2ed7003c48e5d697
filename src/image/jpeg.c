/* SPDX-License-Identifier: MIT
 * The only user of libjpeg-turbo: JPEGs that are grey or have three components, whole or at a half, a
 * quarter or an eighth of their size. All its jumps begin and end here.
 *
 * It goes on where a file is damaged and paints grey; here what would be painted so is an error. That
 * the file is complete and its tables fit was checked before (fm_check_jpeg). */
#include "image/decode.h"

#include <stdlib.h>
#include <string.h>

#ifdef FM_HAVE_LIBJPEG

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h> /* before jerror.h, whose numbers depend on it */

#include <jerror.h>

/* Scans times pixels: each scan of a progressive file goes over all of the picture. Photographs have
 * about ten scans. */
#define MOST_WORK ((uint64_t)1 << 33)

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

struct reader { /* all that is alive across a jump */
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf out;
    int reason; /* libjpeg's number of the error, 0: there was none */
    int too_long;
    char message[JMSG_LENGTH_MAX];
    fathom_status status; /* of what is not libjpeg's error; *err is filled then */
    uint8_t *rgb;
};

static struct reader *reader_of(j_common_ptr info) { return info->client_data; }

static void on_error(j_common_ptr info)
{
    struct reader *r = reader_of(info);
    r->reason = info->err->msg_code;
    info->err->format_message(info, r->message);
    longjmp(r->out, 1);
}

/* Level -1 is a warning. Those about segments that decoders need not know change nothing. */
static void on_message(j_common_ptr info, int level)
{
    if (level >= 0) return;
    switch (info->err->msg_code) {
    case JWRN_ARITH_BAD_CODE:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC: on_error(info); break;
    default: break;
    }
}

static void on_text(j_common_ptr info) { (void)info; }

static void on_progress(j_common_ptr info)
{
    const struct jpeg_decompress_struct *d = &reader_of(info)->info;
    const uint64_t pixels = (uint64_t)d->image_width * d->image_height;
    if ((uint64_t)d->input_scan_number * pixels <= MOST_WORK) return;
    reader_of(info)->too_long = 1;
    longjmp(reader_of(info)->out, 1);
}

/* The largest of 8, 4, 2 and 1 that leaves `enough` pixels on the shorter side. */
static unsigned reduction(const struct jpeg_decompress_struct *info, int enough)
{
    const unsigned side = info->image_width < info->image_height ? info->image_width
                                                                 : info->image_height;
    unsigned by = 8;
    while (by > 1 && (enough <= 0 || side / by < (unsigned)enough)) by /= 2;
    return by;
}

/* 0: decoded; 1: libjpeg gave up; 2: r->status says why; 3: not for this decoder. */
static int read_jpeg(struct reader *r, const struct fm_source *source, fathom_image *image,
                     fathom_error *err)
{
    if (setjmp(r->out)) return 1;
    jpeg_create_decompress(&r->info);
    r->info.progress = &r->progress;
    jpeg_mem_src(&r->info, source->bytes, (unsigned long)source->size);
    jpeg_read_header(&r->info, TRUE);
    if (r->info.num_components != 1 && r->info.num_components != 3) return 3;
    r->status = fm_check_declared(source, r->info.image_width, r->info.image_height, err);
    if (r->status) return 2;
    r->info.out_color_space = JCS_RGB;
    r->info.scale_num = 1;
    r->info.scale_denom = reduction(&r->info, source->enough);
    jpeg_start_decompress(&r->info);
    const size_t row = (size_t)r->info.output_width * 3, bytes = row * r->info.output_height;
    r->rgb = malloc(bytes);
    if (!r->rgb) {
        r->status = fm_fail_memory(err, bytes, "a picture");
        return 2;
    }
    while (r->info.output_scanline < r->info.output_height) {
        JSAMPROW to = r->rgb + row * r->info.output_scanline;
        jpeg_read_scanlines(&r->info, &to, 1);
    }
    jpeg_finish_decompress(&r->info);
    *image = (fathom_image){.width = (int)r->info.output_width, .height = (int)r->info.output_height};
    if (r->info.scale_denom > 1) {
        image->full_width = (int)r->info.image_width;
        image->full_height = (int)r->info.image_height;
    }
    return 0;
}

static fathom_status fail_jpeg(const struct reader *r, const struct fm_source *source,
                               fathom_error *err)
{
    if (r->too_long)
        return fm_fail(err, FATHOM_E_TOO_LARGE,
                       "%s: this JPEG has more scans than a picture of its size can need: save it "
                       "again",
                       source->name);
    if (r->reason == JERR_OUT_OF_MEMORY)
        return fm_fail(err, FATHOM_E_MEMORY, "%s: out of memory while decoding this JPEG",
                       source->name);
    if (r->reason == JERR_IMAGE_TOO_BIG)
        return fm_fail(err, FATHOM_E_TOO_LARGE, "%s: this JPEG is too large (%s): scale it down",
                       source->name, r->message);
    return fm_fail(err, FATHOM_E_IMAGE,
                   "%s: damaged or unsupported JPEG (%s): save it again as PNG or baseline JPEG",
                   source->name, r->message);
}

const char *fm_turbo_version(void) { return "libjpeg-turbo " TEXT_OF(LIBJPEG_TURBO_VERSION); }

fathom_status fm_decode_turbo(const struct fm_source *source, fathom_image *image, fathom_error *err)
{
    struct reader r = {.reason = 0};
    r.info.err = jpeg_std_error(&r.errors);
    r.info.client_data = &r;
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;
    r.errors.output_message = on_text;
    r.progress.progress_monitor = on_progress;
    const int ended = read_jpeg(&r, source, image, err);
    jpeg_destroy_decompress(&r.info);
    if (ended == 0) {
        image->rgb = r.rgb;
        return FATHOM_OK;
    }
    free(r.rgb);
    return ended == 1 ? fail_jpeg(&r, source, err)
           : ended == 2 ? r.status
                        : fm_decode_stb(source, image, err);
}

#else

const char *fm_turbo_version(void) { return NULL; }

fathom_status fm_decode_turbo(const struct fm_source *source, fathom_image *image, fathom_error *err)
{
    return fm_decode_stb(source, image, err);
}

#endif
