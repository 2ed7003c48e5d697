/* SPDX-License-Identifier: MIT
 * The models that fathom runs: one row for each. Included where MODEL is defined; fetch_model.py reads the same
 * rows, so each is one call of literals.
 *
 * MODEL(name, title, parameters in millions, input, values, licence of the weights, good for,
 *       folder of the checkpoint, its file, sha256 of the file or its first digits, "" if none is known)
 *
 * The digits are those that the release has in its file names. Hugging Face tells the whole sha256 of a file
 * when it is downloaded. */

#define HUB "https://huggingface.co/"
#define MIDAS "https://github.com/isl-org/MiDaS/releases/download/"
#define DPT "https://github.com/isl-org/DPT/releases/download/1_0/"
#define LOWER "518 on the shorter side or more, multiple of 14"
#define ABOUT_384 "near 384 on one side, multiple of 32"
#define SQUARE(n) n " x " n ", stretched, no other size"

MODEL("depth_anything_v2_small", "Depth Anything V2 Small", 25, LOWER, "relative", "Apache-2.0",
      "the first to try: details, indoors and outdoors", HUB "depth-anything/Depth-Anything-V2-Small/resolve/main/",
      "depth_anything_v2_vits.pth", "")
MODEL("depth_anything_v2_base", "Depth Anything V2 Base", 97, LOWER, "relative", "CC-BY-NC-4.0",
      "quality, not for commercial use", HUB "depth-anything/Depth-Anything-V2-Base/resolve/main/",
      "depth_anything_v2_vitb.pth", "")
MODEL("depth_anything_v2_large", "Depth Anything V2 Large", 335, LOWER, "relative", "CC-BY-NC-4.0",
      "the best maps here, slow, not for commercial use", HUB "depth-anything/Depth-Anything-V2-Large/resolve/main/",
      "depth_anything_v2_vitl.pth", "")
MODEL("depth_anything_v2_indoor_small", "Depth Anything V2 metric indoor Small", 25, LOWER, "metres, to 20",
      "Apache-2.0, check the card", "metres indoors",
      HUB "depth-anything/Depth-Anything-V2-Metric-Hypersim-Small/resolve/main/",
      "depth_anything_v2_metric_hypersim_vits.pth", "")
MODEL("depth_anything_v2_indoor_base", "Depth Anything V2 metric indoor Base", 97, LOWER, "metres, to 20",
      "CC-BY-NC-4.0, check the card", "metres indoors",
      HUB "depth-anything/Depth-Anything-V2-Metric-Hypersim-Base/resolve/main/",
      "depth_anything_v2_metric_hypersim_vitb.pth", "")
MODEL("depth_anything_v2_indoor_large", "Depth Anything V2 metric indoor Large", 335, LOWER, "metres, to 20",
      "CC-BY-NC-4.0, check the card", "metres indoors",
      HUB "depth-anything/Depth-Anything-V2-Metric-Hypersim-Large/resolve/main/",
      "depth_anything_v2_metric_hypersim_vitl.pth", "")
MODEL("depth_anything_v2_outdoor_small", "Depth Anything V2 metric outdoor Small", 25, LOWER, "metres, to 80",
      "Apache-2.0, check the card", "metres on roads",
      HUB "depth-anything/Depth-Anything-V2-Metric-VKITTI-Small/resolve/main/",
      "depth_anything_v2_metric_vkitti_vits.pth", "")
MODEL("depth_anything_v2_outdoor_base", "Depth Anything V2 metric outdoor Base", 97, LOWER, "metres, to 80",
      "CC-BY-NC-4.0, check the card", "metres on roads",
      HUB "depth-anything/Depth-Anything-V2-Metric-VKITTI-Base/resolve/main/",
      "depth_anything_v2_metric_vkitti_vitb.pth", "")
MODEL("depth_anything_v2_outdoor_large", "Depth Anything V2 metric outdoor Large", 335, LOWER, "metres, to 80",
      "CC-BY-NC-4.0, check the card", "metres on roads",
      HUB "depth-anything/Depth-Anything-V2-Metric-VKITTI-Large/resolve/main/",
      "depth_anything_v2_metric_vkitti_vitl.pth", "")
MODEL("depth_anything_v1_small", "Depth Anything V1 Small", 25, LOWER, "relative", "Apache-2.0",
      "work that is built on V1", HUB "spaces/LiheYoung/Depth-Anything/resolve/main/checkpoints/",
      "depth_anything_vits14.pth", "")
MODEL("depth_anything_v1_base", "Depth Anything V1 Base", 97, LOWER, "relative", "Apache-2.0",
      "a large model that may be used commercially", HUB "spaces/LiheYoung/Depth-Anything/resolve/main/checkpoints/",
      "depth_anything_vitb14.pth", "")
MODEL("depth_anything_v1_large", "Depth Anything V1 Large", 335, LOWER, "relative", "Apache-2.0",
      "the largest that may be used commercially", HUB "spaces/LiheYoung/Depth-Anything/resolve/main/checkpoints/",
      "depth_anything_vitl14.pth", "")
MODEL("dpt_beit_large_512", "MiDaS v3.1 BEiT-L-512", 345, "near 512 on one side, multiple of 32", "relative", "MIT",
      "the best of MiDaS, slow", MIDAS "v3_1/", "dpt_beit_large_512.pt", "")
MODEL("dpt_beit_large_384", "MiDaS v3.1 BEiT-L-384", 344, ABOUT_384, "relative", "MIT",
      "quality; what ZoeDepth is built on", MIDAS "v3_1/", "dpt_beit_large_384.pt", "")
MODEL("dpt_beit_base_384", "MiDaS v3.1 BEiT-B-384", 112, ABOUT_384, "relative", "MIT", "between size and quality",
      MIDAS "v3_1/", "dpt_beit_base_384.pt", "")
MODEL("dpt_swin2_large_384", "MiDaS v3.1 Swin2-L-384", 213, SQUARE("384"), "relative", "MIT",
      "nearly the best of MiDaS, faster than BEiT-L", MIDAS "v3_1/", "dpt_swin2_large_384.pt", "")
MODEL("dpt_swin2_base_384", "MiDaS v3.1 Swin2-B-384", 102, SQUARE("384"), "relative", "MIT",
      "between speed and quality", MIDAS "v3_1/", "dpt_swin2_base_384.pt", "")
MODEL("dpt_swin2_tiny_256", "MiDaS v3.1 Swin2-T-256", 42, SQUARE("256"), "relative", "MIT", "speed, small machines",
      MIDAS "v3_1/", "dpt_swin2_tiny_256.pt", "")
MODEL("dpt_swin_large_384", "MiDaS v3.1 Swin-L-384", 213, SQUARE("384"), "relative", "MIT",
      "work that is built on it", MIDAS "v3_1/", "dpt_swin_large_384.pt", "")
MODEL("dpt_next_vit_large_384", "MiDaS v3.1 Next-ViT-L-384", 72, ABOUT_384, "relative", "MIT",
      "people in the open (the best of MiDaS on DIW)", MIDAS "v3_1/", "dpt_next_vit_large_384.pt", "")
MODEL("dpt_levit_224", "MiDaS v3.1 LeViT-224", 51, SQUARE("224"), "relative", "MIT", "speed before all else",
      MIDAS "v3_1/", "dpt_levit_224.pt", "")
MODEL("dpt_large_384", "DPT-Large (MiDaS v3)", 344, ABOUT_384, "relative", "MIT", "work that is built on it", DPT,
      "dpt_large-midas-2f21e586.pt", "2f21e586")
MODEL("dpt_hybrid_384", "DPT-Hybrid (MiDaS v3)", 123, ABOUT_384, "relative", "MIT",
      "work that is built on it, such as depth-guided diffusion", DPT, "dpt_hybrid-midas-501f0c75.pt", "501f0c75")
MODEL("dpt_hybrid_nyu", "DPT-Hybrid metric NYU", 123, "near 640 x 480, multiple of 32", "metres", "MIT", "metres indoors",
      DPT, "dpt_hybrid_nyu-2ce69ec7.pt", "2ce69ec7")
MODEL("dpt_hybrid_kitti", "DPT-Hybrid metric KITTI", 123, "near 1216 x 352, multiple of 32", "metres", "MIT",
      "metres on roads", DPT, "dpt_hybrid_kitti-cb926ef4.pt", "cb926ef4")
MODEL("midas_v21_384", "MiDaS v2.1 large", 105, "384 on the longer side at most, multiple of 32", "relative", "MIT",
      "convolutions only; work that is built on it", MIDAS "v2_1/", "midas_v21-f6b98070.pt", "f6b98070")
MODEL("midas_v21_small_256", "MiDaS v2.1 small", 21, "256 on the longer side at most, multiple of 32", "relative",
      "MIT", "speed, weak machines, video", MIDAS "v2_1/", "midas_v21_small-70d6b9c8.pt", "70d6b9c8")

#undef HUB
#undef MIDAS
#undef DPT
#undef LOWER
#undef ABOUT_384
#undef SQUARE
