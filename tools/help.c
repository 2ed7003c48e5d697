/* SPDX-License-Identifier: MIT
 * One text per command, in pieces of less than 4095 bytes, which is all that C11 promises for a
 * string literal. fathom.1 says the same at more length: change both. */
#include "help.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "default_model.h"
#include "message.h"

const char help_commands[] = "depth stereo info diff merge models bench align eval help";

static const char general[] =
    "fathom - depth maps from pictures, on CPUs\n"
    "\n"
    "usage: fathom depth [-m MODEL] [-o OUT] [options] INPUT...   a depth map for each picture\n"
    "       fathom depth -o DIR FOLDER [options]                  the same for all pictures below it\n"
    "       fathom stereo LEFT RIGHT -o OUT [options]             disparity or metres of a stereo pair\n"
    "       fathom info FILE [options]                            what is in a model or a map\n"
    "       fathom diff A B [options]                             how far map B is from map A\n"
    "       fathom align MAP --known X,Y=METRES... -o OUT         metres for a relative map\n"
    "       fathom eval --pred MAPS --truth DEPTHS [options]      how far maps are from ground truth\n"
    "       fathom merge MANIFEST... [-o OUT] [options]           one manifest of several, and its gaps\n"
    "       fathom models [NAME]                                  which models there are, where from\n"
    "       fathom bench [-m MODEL] [options]                     how fast it runs here, and why\n"
    "       fathom help [COMMAND|formats]                         this, all about a command, or what\n"
    "                                                             this build reads and writes\n"
    "       fathom --version\n"
    "\n"
    "Options may stand anywhere, as --opt VALUE or --opt=VALUE; \"--\" ends them.\n"
    "\n"
    "exit codes: 0 fine                        4 out of memory\n"
    "            1 bad arguments or units      5 a picture cannot be decoded or is too large\n"
    "            2 a file or its format        6 some of several inputs failed\n"
    "            3 the model or its numbers    7 diff: above --max or --mean\n"
    "\n"
    "example: fathom depth photo.jpg\n";

static const char depth_first[] =
    "usage: fathom depth [-m MODEL] [-o OUT] [options] INPUT...\n"
    "       fathom depth [-m MODEL] -o DIR [options] FOLDER... [--list FILE]\n"
    "\n"
    "Writes a depth map of the size of each picture (JPEG, PNG, BMP, TGA, PNM, GIF, and TIFF and\n"
    "WebP where \"fathom help formats\" says so; \"-\" is standard input). Relative models give\n"
    "inverse depth: larger is nearer, never metres. Metric models give metres: larger is farther.\n"
    "The PNG says which in its text chunks.\n"
    "\n"
    "  -m, --model FILE     the weights (default: " DEFAULT_MODEL ", which comes with fathom);\n"
    "                       weights/convert.py makes others from official checkpoints\n"
    "  -o, --out OUT        one input: the file to write, its extension picks the format; or a\n"
    "                       directory; or \"-\" for standard output. Several inputs: a directory,\n"
    "                       made if absent; x/photo.jpg becomes OUT/photo.png. Without -o, one\n"
    "                       input photo.jpg becomes photo-depth.png in the current directory\n"
    "      --format F       png: 16-bit grey (the default); pfm, npy: float32 values;\n"
    "                       color: 8-bit PNG for looking at, near is warm; tiff: float32, tiff16:\n"
    "                       as in the PNG, both with a description that says what they are\n"
    "      --reverse-color  with --format color: near is cold\n"
    "      --png-level N    0 (no compression) to 9 (smallest, slow); default 1; of tiff16 too\n"
    "      --size N         network pixels on the shorter side (default: the model's own); of other\n"
    "                       families on the longer one, or on both: \"fathom info MODEL\" says it\n"
    "  -t, --threads N      default: the cores this process may use; the result is the same\n"
    "      --gemm G         who multiplies matrices: fathom (the default) or openblas\n"
    "      --precision P    f32 (the default) or bf16: half the time of the encoder on CPUs with\n"
    "                       AVX512_BF16, within about 1e-3 of the map's range on average; int8:\n"
    "                       the default, and the only one, of a quantised model\n";

static const char depth_second[] =
    "      --metres         the map in metres (also: --unit m). Metric models do; for relative\n"
    "                       ones give the scale of this very picture:\n"
    "      --scale S        depth = 1 / (S * value + T), S > 0\n"
    "      --shift T        default 0\n"
    "      --max-depth M    farther than this becomes M (default 100)\n"
    "      --focal PX       refused: no family that runs here defines what its metres become under\n"
    "                       another focal length than its training cameras'\n"
    "      --max-pixels N   refuse larger pictures (default 268435456)\n"
    "      --background C   RRGGBB behind transparent pixels (default 000000)\n"
    "      --no-exif        keep the stored orientation of photos\n"
    "      --decoder D      of JPEGs: stb, the same in every build; turbo, twice as fast; auto (the\n"
    "                       default): stb, and turbo for many pictures if this build has it. Maps\n"
    "                       differ by 0.0002 of their range on average\n"
    "      --fast-decode    turbo, and large JPEGs at 1/2, 1/4 or 1/8 of their size, as long as the\n"
    "                       network does not need more: by 0.006 on average, 0.2 in single pixels\n"
    "      --json           a line of JSON for each input on standard output (on standard error\n"
    "                       with -o -)\n"
    "  -q, --quiet          errors only\n"
    "\n";

static const char depth_trust[] =
    "      --confidence OUT the probability that a pixel's depth is within 10 % of the true one after\n"
    "                       scale and shift, 0 to 1, as a map; takes three runs of the network (2.2\n"
    "                       times the time). One input: a file; several: a folder, in which maps lie\n"
    "                       as they do in -o DIR\n"
    "      --edges E        of foreground on background: none (the default) keeps them as they are,\n"
    "                       mask leaves the rim without value (NaN, code 0), sharpen snaps it to the\n"
    "                       picture's edges\n"
    "      --sky S          what looks like sky and is far: keep (the default), mask (NaN, code 0), or\n"
    "                       infinite: of metric models, and code 0 in a PNG\n"
    "Warnings, on standard error and in the JSON: a picture that looks like outdoors for an indoor\n"
    "metric model, or the reverse; with --confidence, large smooth regions that the mirror image\n"
    "contradicts, such as glass.\n"
    "\n";

static const char depth_third[] =
    "Many pictures: a folder, --list, or any of these options. Maps lie under DIR as pictures lie\n"
    "under the folder (of several folders, and of paths in lists, the whole path, without \"..\"\n"
    "and a leading \"/\"); they never leave DIR, and links inside it are not followed.\n"
    "      --list FILE      pictures, one path a line; \"-\" is standard input\n"
    "  -0, --null           the list's paths end in zero bytes\n"
    "      --include GLOB   of a folder, only these (default: .jpg .jpeg .png .bmp .tga .ppm .pgm\n"
    "      --exclude GLOB   .pnm .gif .tif .tiff .webp); not these files and folders. May be given\n"
    "                       several times.\n"
    "                       A glob without \"/\" is for the name, else for the path below FOLDER\n"
    "      --keep-extension photo.jpg becomes photo.jpg.png, not photo.png\n"
    "  -j, --jobs N         sessions at a time, of --threads each (default auto: from cores, their\n"
    "                       quota, and memory)\n"
    "      --memory SIZE    all that the run may take, such as 2G; fewer sessions and pictures at a\n"
    "                       time follow from it, and a picture that cannot fit is an error of its own\n"
    "      --manifest FILE  a line of JSON for each picture (default: DIR/manifest.jsonl)\n"
    "      --resume         go on with that manifest: skip what is done and current, by the\n"
    "                       picture's size and time, the model, the options, and the map's size\n"
    "      --hash           by the picture's SHA-256, which the manifest then holds\n"
    "      --shard I/N      only the I-th of N equal shares, the same whatever else there is; its\n"
    "                       manifest is DIR/manifest-I-of-N.jsonl\n"
    "      --fail-fast      stop at the first picture that fails\n"
    "      --progress P     auto (the default): a live line on a terminal, else a line in 30 s;\n"
    "                       json: lines of JSON on standard error; none\n"
    "With these --json prints the manifest's lines. SIGINT and SIGTERM let pictures in flight end;\n"
    "a second one ends the run at once. Either way --resume goes on.\n"
    "\n"
    "Existing outputs are replaced, in one step; an input or the model never is. A picture that\n"
    "fails does not stop the others: the exit code is then 6.\n"
    "\n"
    "examples: fathom depth photo.jpg\n"
    "          fathom depth --format color -o depth.png photo.jpg\n"
    "          fathom depth -m vits.fathom -o maps --format npy --json photos/*.jpg\n"
    "          fathom depth -o maps photos --memory 4G --resume\n"
    "          curl -s $URL | fathom depth -o - --format pfm - > depth.pfm\n";

static const char stereo_first[] =
    "usage: fathom stereo LEFT RIGHT -o OUT [--calib FILE | --focal PX --baseline M] [options]\n"
    "\n"
    "Matches the two pictures of a rectified pair: the map of the left one, in pixels of disparity\n"
    "(larger is nearer), or with calibration in metres (larger is farther). What cannot be\n"
    "matched, because the other camera does not see it, or there is no texture, has no value: NaN in\n"
    ".pfm and .npy, code 0 in .png. A raw pair is rectified first if the calibration has both\n"
    "cameras (the map is then of the rectified left picture).\n"
    "\n"
    "  -o, --out OUT          the file to write, its extension picks the format; \"-\": standard output\n"
    "      --format F         png, tiff16 (16-bit grey), pfm, npy, tiff (float32), color (for looking)\n"
    "      --max-disparity N  search 0 to N - 1 pixels (default: what the calibration says, else a\n"
    "                         quarter of the width, from 64 to 256); what is nearer cannot be found\n"
    "      --focal PX         metres: depth = focal * baseline / (disparity + doffs)\n"
    "      --baseline M       distance of the cameras; with --calib: instead of the file's\n"
    "      --doffs PX         column of the right principal point less the left one (default 0)\n"
    "      --max-depth M      what is farther has no value (default: what 1/4 pixel means)\n";

static const char stereo_second[] =
    "      --calib FILE       Middlebury's calib.txt (scaled to the pictures), KITTI's, OpenCV's YAML or\n"
    "                         XML (K1 D1 K2 D2 R T, P1 P2, or Q; lengths in metres), ROS' camera_info\n"
    "      --calib-right FILE ROS: the right camera's; OpenCV: a second file with the rest\n"
    "      --rectify          fail if the pair cannot be rectified\n"
    "      --rectified        the pictures are rectified already, though the file has raw cameras\n"
    "      --fill mono        fill what has no value from a model's map of the left picture, fitted to\n"
    "                         the disparities\n"
    "  -m, --model FILE       that model, of relative depth (default: " DEFAULT_MODEL ")\n"
    "      --size N           its network pixels on the shorter side\n"
    "      --filled FILE      an 8-bit PNG: 255 where a pixel was filled, else 0\n"
    "  -t, --threads N        default: the cores this process may use; the result is the same\n"
    "      --json             one line of JSON: kind, geometry, shares matched and filled, warnings\n"
    "  -q, --quiet            no warnings\n"
    "\n"
    "Pictures that are no pair end with exit code 5: of two sizes, the same twice, blank, or with left\n"
    "and right swapped. One that looks unrectified is matched, with a warning.\n"
    "\n"
    "examples: fathom stereo left.png right.png -o disparity.png\n"
    "          fathom stereo left.png right.png -o depth.png --calib calib.txt --fill mono \\\n"
    "              --filled mask.png\n";

static const char info_text[] =
    "usage: fathom info FILE [options]\n"
    "\n"
    "Of a weights file: name, kind of values, licence, origin, size, configuration; the whole of\n"
    "it is checked first. Of a depth map that fathom wrote: size, kind, encoding, range, model.\n"
    "Where the default model lies, \"fathom help depth\" says at its end.\n"
    "\n"
    "      --tensors     weights: all tensors with type, shape, bytes, crc32\n"
    "      --size N|WxH  weights: the memory that a session takes at this network size; WxH are\n"
    "                    rounded to the model's multiple as a picture of that shape would be\n"
    "  -t, --threads N   weights: threads of that session\n"
    "      --json        one line of JSON\n"
    "\n"
    "examples: fathom info vits.fathom --size 686x518\n"
    "          fathom info depth.png\n";

static const char diff_text[] =
    "usage: fathom diff A B [options]\n"
    "\n"
    "Compares two depth maps of one size (PNG, PFM, NPY or TIFF of fathom's): maximum and mean\n"
    "absolute error over the range of A, Pearson's r, and, after B is scaled and shifted onto A by least\n"
    "squares, AbsRel and delta1 (the share of pixels off by less than a factor 1.25) where A is\n"
    "positive. For relative maps the alignment and these errors are in disparity. Pixels without\n"
    "a value in either map are left out and counted.\n"
    "\n"
    "      --max X   exit 7 when the maximum error is above X of the range of A\n"
    "      --mean X  exit 7 when the mean error is above X of the range of A\n"
    "      --json    one line of JSON; what is undefined is null\n"
    "\n"
    "example: fathom diff reference.npy depth.png --max 0.001\n";

static const char align_text[] =
    "usage: fathom align MAP (--known X,Y=METRES ... | --points FILE | --depth FILE |\n"
    "                         --disparity FILE --focal PX --baseline M | --stereo LEFT RIGHT\n"
    "                         (--calib FILE | --focal PX --baseline M)) -o OUT [options]\n"
    "\n"
    "Turns the relative map of a picture into metres: 1 / metres = scale * value + shift, fitted to\n"
    "pixels of known depth so that up to half of them may be wrong. From 20 points on, a smooth\n"
    "field of scales over the picture is fitted too, and used if it predicts points that were left\n"
    "out better than scale and shift alone. Says how many points agreed, and how far off they are.\n"
    "Refused, with exit code 1, when the points do not determine a scale: one point, one distance,\n"
    "one part of the map's values, nearer points where the map is farther.\n"
    "\n"
    "      --known X,Y=M    a pixel (0,0 is the upper left one) and its distance in metres along the\n"
    "                       optical axis; to be given twice at least\n"
    "      --points FILE    lines \"x y metres\", split by blanks or commas; \"-\": standard input\n"
    "      --depth FILE     a depth map over the picture, dense or sparse (Kinect, LiDAR, stereo): PNG\n"
    "                       of 16 bits, PFM, NPY, NPZ, TIFF, or a metric map of fathom's; 0, NaN and\n"
    "                       infinity are unknown; of another size it must have the same shape\n"
    "      --depth-scale S  units of FILE that make a metre: mm (1000), kitti (256), tum (5000) or a\n"
    "                       number. PNGs need it, but for fathom's own\n"
    "      --disparity FILE the same of disparities, as \"fathom stereo\" gives them without a camera:\n"
    "                       metres = focal * baseline / (disparity + doffs)\n"
    "      --stereo LEFT RIGHT\n"
    "                       a rectified pair, matched first; MAP is the left picture's\n"
    "      --focal PX  --baseline METRES  --doffs PX (default 0): in pixels of FILE or LEFT\n"
    "      --calib FILE  --max-disparity N: of --stereo, as for \"fathom stereo\"\n"
    "      --key NAME       which array of an NPZ that has several\n"
    "  -o, --out OUT        .png, .pfm, .npy, a folder, or \"-\"\n"
    "      --format F       png pfm npy color\n"
    "      --field F        auto (the default) or off\n"
    "      --max-depth M    farther than this becomes M (default 100)\n"
    "      --kind relative  what MAP is, where it is a PFM or NPY file and does not say\n"
    "      --json           one line of JSON; -q, --quiet: errors only\n"
    "\n"
    "examples: fathom align map.png --known 320,400=1.2 --known 500,80=6 -o metres.png\n"
    "          fathom align map.png --depth kinect.png --depth-scale mm -o metres.npy\n"
    "          fathom stereo left.png right.png --calib calib.txt -o stereo.png &&\n"
    "              fathom align map.png --depth stereo.png -o metres.png\n";

static const char eval_first[] =
    "usage: fathom eval --pred MAPS (--truth DEPTHS | --pairs FILE) [options]\n"
    "\n"
    "Measures depth maps against ground truth by the field's protocols. MAPS and DEPTHS are files, or\n"
    "folders whose files (.png .pfm .npy .npz .tiff) are paired by their names without the extension;\n"
    "what has no partner is listed, and the exit code then is 6. A row for each picture, then the\n"
    "mean over pictures (each counts the same, whatever its size).\n"
    "\n"
    "Depth: AbsRel, SqRel, RMSE, RMSE of logarithms, SILog (x 100), log10, delta1 to delta3, and\n"
    "Depth Pro's scale-invariant boundary F1. Disparity: EPE, and the shares off by more than 1, 2\n"
    "and 4 px, of pixels with a prediction (bad) and of all with a truth (bad-all). Points: which of\n"
    "two is nearer.\n"
    "\n"
    "      --align A        none; scale (medians); affine (least squares, depth): of metric maps, and\n"
    "                       none of disparities. affine-disparity (least squares in inverse depth, or\n"
    "                       against disparity): of relative maps and of disparities. Another one than\n"
    "                       a map's kind admits is an error. Default: affine-disparity for relative\n"
    "                       maps, else none\n"
    "      --crop C         none; garg; eigen: of 640x480 NYU's, else KITTI's\n"
    "      --min M --max M  metres (default 0.001 and 80): truth outside is not measured, predictions\n"
    "                       are clamped to it\n"
    "      --resize         predictions of another size, but the same shape, are resampled\n";

static const char eval_second[] =
    "      --truth-scale S  units that make a metre, or a pixel of disparity: mm (1000: NYU, Kinect),\n"
    "                       kitti (256), tum (5000), or a number. PNGs need it, but for fathom's own\n"
    "      --truth-kind K   depth (the default) or disparity; 0, NaN and infinity are unknown\n"
    "      --truth-key N    which array of an NPZ that has several\n"
    "      --pred-kind K    relative, metric or disparity: of PFM and NPY files, which do not say\n"
    "      --pred-suffix S, --truth-suffix S\n"
    "                       take only files whose names before the extension end in S, and leave S\n"
    "                       out: with .depth, x.depth.png is paired as x\n"
    "      --pairs FILE     JSON of DA-2K: {\"x.jpg\": [{\"point1\": [row, column], \"point2\": [row, column],\n"
    "                       \"closer_point\": \"point1\"}]}; equal values are wrong answers\n"
    "      --json           a line for each picture, and one for the mean; -q, --quiet: no notes\n"
    "\n"
    "examples: fathom eval --pred maps --truth nyu --truth-scale mm --crop eigen --max 10\n"
    "          fathom eval --pred maps --truth kitti --truth-scale kitti --crop garg\n"
    "          fathom eval --pred disparity.png --truth disp0GT.pfm --truth-kind disparity\n"
    "          fathom eval --pred maps --pairs DA-2K/annotations.json\n";

static const char merge_text[] =
    "usage: fathom merge MANIFEST... [-o OUT] [options]\n"
    "\n"
    "Joins the manifests of several \"fathom depth\" runs, such as the shares of --shard, and reports\n"
    "on standard output what failed, what is in two of them, whose map was made of two pictures,\n"
    "lines that are damaged, and what is missing: shares (of manifest-I-of-N.jsonl), and pictures\n"
    "of a list. The exit code is 0 only when there is nothing of the kind, else 6.\n"
    "\n"
    "  -o, --out OUT    the manifest of all: one line for each map, sorted\n"
    "      --list FILE  pictures that must be there, one path a line; \"-\" is standard input. Paths\n"
    "                   are compared cleaned: ./a/b.jpg is a/b.jpg\n"
    "  -0, --null       the list's paths end in zero bytes\n"
    "      --json       one line of JSON, with counts\n"
    "  -q, --quiet      errors and the exit code only\n"
    "\n"
    "example: find photos -name \"*.jpg\" | fathom merge maps/manifest-*.jsonl -o all.jsonl --list -\n";

static const char bench_text[] =
    "usage: fathom bench [-m MODEL] [options]\n"
    "       fathom bench stereo [--size WxH] [--max-disparity N] [--memory MB] [-t N] [--runs R]\n"
    "                           [--json]\n"
    "\n"
    "Runs a made picture through a model and tells where the time goes: for each stage the time,\n"
    "the arithmetic, and how far that is from what this machine can do, which is measured too;\n"
    "then memory, and the first run apart from the later ones. A figure is worth what the machine\n"
    "did beside it: let nothing else run.\n"
    "\n"
    "  -m, --model FILE     the weights (default: " DEFAULT_MODEL ")\n"
    "      --size HxW|N     the network's input, height x width in pixels; N: a square picture at\n"
    "                       this --size (default: the model's own)\n"
    "  -t, --threads N      default: the cores this process may use\n"
    "      --precision P    f32 (the default; also: fp32), bf16, or int8 (of a quantised model)\n"
    "      --gemm G         who multiplies matrices: fathom (the default) or openblas\n"
    "      --runs R         that count, after a first one (default 10)\n"
    "      --throughput     pictures a second instead, for sessions x threads up to all cores; each\n"
    "                       session runs R pictures\n"
    "      --no-roofline    do not measure the machine\n"
    "      --json           one line of JSON\n"
    "\n"
    "bench stereo matches a made pair (default: 1600x1250, 128 disparities, 5 runs) and tells time,\n"
    "rate and memory; --memory bounds what \"fathom stereo\" bounds by 512 MB of costs.\n"
    "\n"
    "examples: fathom bench\n"
    "          fathom bench -m vits.fathom --size 518x686 --precision bf16 --threads 1\n"
    "          fathom bench -m vits.fathom --throughput\n";

static const char models_text[] =
    "usage: fathom models [NAME] [--json]\n"
    "\n"
    "Lists the models that fathom runs, with what they are good for and their licences; with a name,\n"
    "that one: what it takes, where its official checkpoint is, and the commands that get and convert\n"
    "it. Nothing is downloaded: tools/fetch_model.py does that.\n"
    "\n"
    "      --json           a line for each, or for that one\n"
    "\n"
    "examples: fathom models\n"
    "          fathom models dpt_swin2_tiny_256\n";

static const char help_text[] = "usage: fathom help [depth|stereo|info|diff|merge|models|bench|align|eval|\n"
    "                    formats]\n"
                                "\n"
                                "example: fathom help depth\n";

static const struct {
    const char *command, *text, *more, *still_more, *last; /* the last may be NULL */
} texts[] = {
    {"depth", depth_first, depth_second, depth_trust, depth_third},
    {"stereo", stereo_first, stereo_second, ""},
    {"info", info_text, "", ""},
    {"diff", diff_text, "", ""},
    {"align", align_text, "", ""},
    {"eval", eval_first, eval_second, ""},
    {"merge", merge_text, "", ""},
    {"models", models_text, "", ""},
    {"bench", bench_text, "", ""},
    {"help", help_text, "", ""},
};

static int print_formats(void)
{
    const char *turbo = fathom_decoder_version(FATHOM_DECODER_TURBO);
    const char *tiff = fathom_reader_version("TIFF"), *webp = fathom_reader_version("WebP");
    printf("read:\n"
           "  JPEG           %s%s%s\n"
           "  PNG            8 and 16 bits, rounded to 8; %s\n"
           "  BMP, TGA, GIF  of a GIF the first frame; %s\n"
           "  PNM            P5 and P6, any maximal value\n",
           fathom_reader_version("JPEG"), turbo ? "; " : "", turbo ? turbo : "", fathom_reader_version("PNG"),
           fathom_reader_version("BMP"));
    if (tiff)
        printf("  TIFF           the first picture of a file: grey, palette, RGB, of 8 and 16 bits, plain or\n"
               "                 by LZW, PackBits, Deflate or JPEG; %s\n", tiff);
    if (webp) printf("  WebP           lossy and lossless, not animated; %s\n", webp);
    printf("written:\n"
           "  png            16-bit grey, says what it means; libpng\n"
           "  color          8-bit PNG for looking at; libpng\n"
           "  pfm, npy       float32\n");
    if (tiff) printf("  tiff, tiff16   float32, and 16-bit grey; say what they mean; %s\n", tiff);
    if (!turbo) puts("This build has no libjpeg-turbo: --decoder turbo and --fast-decode are refused.");
    if (!tiff) puts("This build has no libtiff: TIFFs are refused, as pictures, maps, and formats.");
    if (!webp) puts("This build has no libwebp: WebP pictures are refused.");
    return EXIT_FINE;
}

/* Where it lies depends on the installation. */
static void print_default_model(void)
{
    char path[DEFAULT_MODEL_PATH];
    fputs("\ndefault model: ", stdout);
    if (default_model_find(path))
        print_name(stdout, path);
    else
        fputs("not found, -m is needed", stdout);
    putchar('\n');
}

int help_print(const char *command)
{
    if (!command) {
        fputs(general, stdout);
        return EXIT_FINE;
    }
    if (strcmp(command, "formats") == 0) return print_formats();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(texts[i].command, command) == 0) {
            fputs(texts[i].text, stdout);
            fputs(texts[i].more, stdout);
            fputs(texts[i].still_more, stdout);
            if (texts[i].last) fputs(texts[i].last, stdout);
            if (texts[i].text == depth_first) print_default_model();
            return EXIT_FINE;
        }
    complain("no help on \"%s\", expected is one of: %s formats", command, help_commands);
    return EXIT_ARGUMENT;
}

void help_usage(void)
{
    fputs("usage: fathom depth [-m MODEL] [-o OUT] [options] INPUT...\n"
          "       fathom depth [-m MODEL] -o DIR [options] FOLDER\n"
          "       fathom stereo LEFT RIGHT -o OUT [options]\n"
          "       fathom info FILE [options]\n"
          "       fathom diff A B [options]\n"
          "       fathom align MAP --known X,Y=METRES... -o OUT [options]\n"
          "       fathom eval --pred MAPS --truth DEPTHS [options]\n"
          "       fathom merge MANIFEST... [-o OUT] [options]\n"
          "       fathom models [NAME]\n"
          "       fathom bench [-m MODEL] [options]\n"
          "       fathom help [COMMAND]\n",
          stderr);
}
