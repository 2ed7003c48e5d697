/* SPDX-License-Identifier: MIT
 * Files of pyramid encoders whose config or tensors do not make a model, and sizes that they do not take: the
 * sentence names what is wrong. */
#include <criterion/criterion.h>
#include <string.h>

#include "support/support.h"
#include "support/weights_file.h"

static void expect_error(struct weights_file *f, const char *what, const char *const *words)
{
    fathom_error err = {0};
    const fathom_status status = weights_file_open(f, NULL, &err);
    cr_expect_eq(status, FATHOM_E_MODEL, "%s: status %d (%s)", what, status, status ? err.message : "");
    for (; *words; words++)
        cr_expect(strstr(err.message, *words), "%s: \"%s\" does not speak of \"%s\"", what, err.message, *words);
}

/* `key`'s line becomes `line`; "": it is gone. */
static void refuse(const char *file, const char *key, const char *line, const char *word)
{
    struct weights_file f = weights_file_load(file);
    weights_file_set_line(&f, key, line);
    expect_error(&f, line, (const char *const[]){word, NULL});
    weights_file_free(&f);
}

Test(pyramids, convnet)
{
    const char *small = "tiny_midas_small.fathom", *large = "tiny_midas_large.fathom";
    refuse(small, "encoder.run_taps", "encoder.run_taps=0,1,4,6", "encoder.run_taps");
    refuse(small, "encoder.run_taps", "encoder.run_taps=1,2,6,4", "encoder.run_taps");
    refuse(small, "encoder.run_strides", "encoder.run_strides=1,1,2,2,1,2,1,0", "encoder.run_taps");
    refuse(small, "encoder.run_kernels", "encoder.run_kernels=3,4,5,3,5,5,3,0", "odd");
    refuse(small, "encoder.run_channels", "encoder.run_channels=3,4,5,6,7,9,0,0", "run_channels");
    refuse(small, "encoder.run_channels", "encoder.run_channels=3,4,5,6,7,9,11,0", "reassemble.channels");
    refuse(small, "encoder.run_expand", "encoder.run_expand=0,2,3,3,3,3,3,0", "pretrained.runs.1.0.expand.weight");
    refuse(small, "encoder.run_blocks", "encoder.run_blocks=1,2,2,2,1,2,2,0", "pretrained.runs.6.1.expand.weight is missing");
    refuse(small, "encoder.run_blocks", "encoder.run_blocks=0,2,2,2,1,2,1,0", "encoder.run_blocks");
    refuse(small, "input.multiple", "input.multiple=16", "multiple of 32");
    refuse(small, "encoder.block", "encoder.block=bottleneck", "run_expand 0");
    refuse(small, "encoder.stem_pool", "", "encoder.stem_pool is missing");
    refuse(large, "encoder.groups", "encoder.groups=3", "encoder.groups 3");
    refuse(large, "encoder.run_expand", "encoder.run_expand=0,1,1,1,0,0,0,0", "run_expand");
}

Test(pyramids, swin)
{
    const char *swin = "tiny_swin2.fathom";
    refuse(swin, "encoder.stage_windows", "encoder.stage_windows=4,4,2,3", "stage 3");
    refuse(swin, "encoder.stage_windows", "encoder.stage_windows=2,4,2,1", "attn.position_bias");
    refuse(swin, "encoder.stage_heads", "encoder.stage_heads=3,1,2,4", "3 heads");
    refuse(swin, "encoder.version", "encoder.version=v1", "downsample.norm.weight");
    refuse(swin, "input.rule", "input.rule=minimal", "stretch");
    refuse(swin, "input.size", "input.size=40", "40 pixels");
    refuse(swin, NULL, "fusion.levels=3", "fusion.levels");
    refuse(swin, "encoder.width", "encoder.width=8", "reassemble.channels");
    refuse(swin, "encoder.type", "encoder.type=convnet", "encoder.");
}

Test(pyramids, levit)
{
    const char *levit = "tiny_levit.fathom";
    refuse(levit, "encoder.side", "encoder.side=7", "encoder.side");
    refuse(levit, "encoder.dims", "encoder.dims=12,10,12", "doubles it three times");
    refuse(levit, "encoder.dim_taps", "encoder.dim_taps=2,1,2", "encoder.dim_taps 2");
    refuse(levit, "encoder.key_dim", "encoder.key_dim=4", "attn.qkv.weight");
    refuse(levit, "encoder.subsample_heads", "encoder.subsample_heads=3,3", "pretrained.subsample.0.attn.q.weight");
    refuse(levit, "head.transposed", "head.transposed=4,3", "stem_transpose.0.weight");
    refuse(levit, "fusion.levels", "fusion.levels=4", "fusion.levels 3");
}

Test(pyramids, nextvit)
{
    const char *next = "tiny_next.fathom";
    refuse(next, "encoder.head_dim", "encoder.head_dim=4", "encoder.head_dim 4");
    refuse(next, "encoder.mixed_attention", "encoder.mixed_attention=0,8,8,8", "mixed_attention 8");
    refuse(next, "encoder.mixed_pool", "encoder.mixed_pool=8,3,2,1", "means of 9");
    refuse(next, "encoder.mixed_period", "encoder.mixed_period=0,1,3,2", "pretrained.stages.1.0");
    refuse(next, "encoder.conv_hidden", "encoder.conv_hidden=14,9,13,17", "mlp.fc1.weight");
    refuse(next, "input.multiple", "input.multiple=48", "means of 16");
}

Test(pyramids, missing_tensors_are_all_named)
{
    struct weights_file f = weights_file_load("tiny_midas_small.fathom");
    weights_file_drop(&f, "pretrained.runs.2.0.spatial.weight");
    weights_file_drop(&f, "depth_head.scratch.refinenet1.out_conv.bias");
    expect_error(&f, "two gone", (const char *const[]){"2 tensors", "pretrained.runs.2.0.spatial.weight is missing",
                                                      "refinenet1.out_conv.bias is missing", NULL});
    weights_file_free(&f);
}

Test(pyramids, sizes)
{
    static const char *const fixed[] = {"tiny_swin2.fathom", "tiny_swin.fathom", "tiny_levit.fathom"};
    fathom_error err;
    int w, h;
    for (int i = 0; i < 3; i++) {
        fathom_model *model;
        fathom_session *session = NULL;
        cr_assert_eq(fathom_model_open(&model, golden_path(fixed[i]), &err), FATHOM_OK, "%s", err.message);
        cr_expect_eq(fathom_model_network_size(model, 100, 37, 0, &w, &h, &err), FATHOM_OK, "%s", err.message);
        cr_expect_eq(w, h); /* stretched */
        cr_expect_eq(fathom_session_create(&session, model, 64, 64, &(fathom_session_options){.size = 160}, &err),
                     FATHOM_E_ARGUMENT);
        cr_expect(strstr(err.message, "160x160") && strstr(err.message, "no other size"), "%s", err.message);
        fathom_session_destroy(&session);
        fathom_model_close(&model);
    }
}
