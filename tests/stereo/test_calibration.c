/* SPDX-License-Identifier: MIT
 * Calibration files as their programs write them, and what is wrong with others. */
#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#include "support/support.h"

static fathom_calibration parse(const char *text, const char *second)
{
    fathom_calibration c;
    fathom_error err = {0};
    cr_assert(fathom_calibration_parse(&c, "calib", text, strlen(text), second ? "right" : NULL, second,
                                       second ? strlen(second) : 0, &err) == FATHOM_OK, "%s", err.message);
    return c;
}

static void expect_refused(const char *text, const char *second, const char *word)
{
    fathom_calibration c;
    fathom_error err = {0};
    cr_expect(fathom_calibration_parse(&c, "calib", text, strlen(text), second ? "right" : NULL, second,
                                       second ? strlen(second) : 0, &err) == FATHOM_E_FORMAT, "%s", text);
    cr_expect(strstr(err.message, word), "\"%s\" in: %s", word, err.message);
}

static void expect_geometry(const fathom_calibration *c, double focal, double baseline, double doffs)
{
    cr_expect_float_eq(c->geometry.focal, focal, 1e-9 * focal, "%g", c->geometry.focal);
    cr_expect_float_eq(c->geometry.baseline, baseline, 1e-6 * baseline, "%g", c->geometry.baseline);
    cr_expect_float_eq(c->geometry.doffs, doffs, 1e-4, "%g", c->geometry.doffs);
}

#define MIDDLEBURY                                                                                 \
    "cam0=[3979.911 0 1244.772; 0 3979.911 1019.507; 0 0 1]\n"                                     \
    "cam1=[3979.911 0 1369.115; 0 3979.911 1019.507; 0 0 1]\n"                                     \
    "doffs=124.343\nbaseline=193.001\nwidth=2964\nheight=2000\nndisp=280\nisint=0\nvmin=23\n"

Test(calibration, middlebury)
{
    fathom_calibration c = parse(MIDDLEBURY, NULL);
    cr_expect_str_eq(c.format, "middlebury");
    expect_geometry(&c, 3979.911, 0.193001, 124.343);
    cr_expect(c.width == 2964 && c.height == 2000 && c.max_disparity == 280 && !c.has_cameras);
    cr_assert(fathom_calibration_fit(&c, 741, 500, NULL) == FATHOM_OK);
    expect_geometry(&c, 994.97775, 0.193001, 31.08575);
    cr_expect_eq(c.max_disparity, 70);
    fathom_error err = {0};
    cr_expect(fathom_calibration_fit(&c, 741, 400, &err) == FATHOM_E_FORMAT);
    cr_expect(strstr(err.message, "cropped"), "%s", err.message);
}

Test(calibration, middlebury_of_2021_without_doffs_and_with_windows_lines)
{
    fathom_calibration c = parse("cam0=[1758.23 0 953.34; 0 1758.23 552.29; 0 0 1]\r\n"
                                 "cam1=[1758.23 0 963.34; 0 1758.23 552.29; 0 0 1]\r\nbaseline=111.53\r\n", NULL);
    expect_geometry(&c, 1758.23, 0.11153, 10);
}

Test(calibration, kitti)
{
    fathom_calibration c =
        parse("P0: 7.215377e+02 0 6.095593e+02 0 0 7.215377e+02 1.728540e+02 0 0 0 1 0\n"
              "P1: 7.215377e+02 0 6.095593e+02 -3.875744e+02 0 7.215377e+02 1.728540e+02 0 0 0 1 0\n"
              "P2: 7.215377e+02 0 6.095593e+02 4.485728e+01 0 7.215377e+02 1.728540e+02 2.163791e-01 0 0 1 2.745884e-03\n"
              "P3: 7.215377e+02 0 6.095593e+02 -3.395242e+02 0 7.215377e+02 1.728540e+02 2.199936e+00 0 0 1 2.729905e-03\n"
              "R0_rect: 9.999239e-01 9.837760e-03 -7.445048e-03\n", NULL);
    cr_expect_str_eq(c.format, "kitti");
    expect_geometry(&c, 721.5377, (44.85728 + 339.5242) / 721.5377, 0);
    c = parse("calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.950000e-02\n"
              "S_rect_00: 1.242000e+03 3.750000e+02\n"
              "P_rect_00: 7.215377e+02 0.0 6.095593e+02 0 0 7.215377e+02 1.728540e+02 0 0 0 1 0\n"
              "P_rect_01: 7.215377e+02 0.0 6.095593e+02 -3.875744e+02 0 7.215377e+02 1.728540e+02 0 0 0 1 0\n", NULL);
    expect_geometry(&c, 721.5377, 387.5744 / 721.5377, 0);
}

#define MATRIX(name, rows, cols, data)                                                             \
    name ": !!opencv-matrix\n   rows: " rows "\n   cols: " cols "\n   dt: d\n   data: [ " data " ]\n"
#define CAMERAS                                                                                    \
    "%YAML:1.0\n---\n" MATRIX("M1", "3", "3", "520., 0., 330.5, 0.,\n       525., 236.25, 0., 0., 1.")              \
    MATRIX("D1", "1", "5", "-2.8e-01, 9.0000000000000000e-02,\n 0.0011, -7e-4, -.012")                             \
    MATRIX("M2", "3", "3", "531., 0., 312., 0., 528.5, 247.5, 0., 0., 1.") MATRIX("D2", "4", "1", "-0.31, 0.12, 0, 0")
#define POSE MATRIX("R", "3", "3", "1., 0., 0., 0., 1., 0., 0., 0., 1.") MATRIX("T", "3", "1", "-0.12, 0.001, 0.002")

Test(calibration, opencv_yaml_in_one_file_and_in_two)
{
    for (int two = 0; two < 2; two++) {
        fathom_calibration c = two ? parse(CAMERAS, "%YAML:1.0\n" POSE) : parse(CAMERAS POSE, NULL);
        cr_expect_str_eq(c.format, "opencv");
        cr_expect(c.has_cameras && c.geometry.focal == 0);
        cr_expect(c.camera[0].fx == 520 && c.camera[0].fy == 525 && c.camera[0].cx == 330.5 && c.camera[0].cy == 236.25);
        cr_expect(c.camera[0].distortion[0] == -0.28 && c.camera[0].distortion[4] == -0.012);
        cr_expect(c.camera[1].distortion[1] == 0.12 && c.camera[1].distortion[4] == 0);
        cr_expect(c.translation[0] == -0.12 && c.rotation[8] == 1);
    }
}

#define XML_MATRIX(name, rows, cols, data)                                                         \
    "<" name " type_id=\"opencv-matrix\">\n  <rows>" rows "</rows>\n  <cols>" cols "</cols>\n  <dt>d</dt>\n"        \
    "  <data>\n    " data "</data></" name ">\n"

Test(calibration, opencv_xml_and_q)
{
    fathom_calibration c = parse("<?xml version=\"1.0\"?>\n<opencv_storage>\n<image_width>640</image_width>\n"
                                 "<image_height>480</image_height>\n"
                                 XML_MATRIX("cameraMatrix1", "3", "3", "520. 0. 330.5 0. 525. 236.25 0. 0. 1.")
                                 XML_MATRIX("cameraMatrix2", "3", "3", "531. 0. 312. 0. 528.5 247.5 0. 0. 1.")
                                 XML_MATRIX("R", "3", "3", "1. 0. 0. 0. 1. 0. 0. 0. 1.")
                                 XML_MATRIX("T", "3", "1", "-1.2e-01 1e-3\n    2e-3")
                                 "</opencv_storage>\n", NULL);
    cr_expect(c.has_cameras && c.camera[1].fy == 528.5 && c.translation[2] == 2e-3);
    cr_expect(c.width == 640 && c.height == 480);
    c = parse("%YAML:1.0\n" MATRIX("Q", "4", "4", "1, 0, 0, -320, 0, 1, 0, -240, 0, 0, 0, 500, 0, 0, 8, 16"), NULL);
    expect_geometry(&c, 500, 0.125, 2);
}

#define ROS(cx, tx)                                                                                \
    "image_width: 640\nimage_height: 480\ncamera_name: narrow_stereo\ncamera_matrix:\n  rows: 3\n  cols: 3\n"       \
    "  data: [430.21554970319971, 0.0, 306.6913434743704, 0.0, 430.53169252696676, 227.22480030078816, 0.0, 0.0, 1.0]\n"\
    "distortion_model: plumb_bob\ndistortion_coefficients:\n  rows: 1\n  cols: 5\n"                                  \
    "  data: [-0.3375, 0.1114, -0.00068, -0.00065, 0.0]\nrectification_matrix:\n  rows: 3\n  cols: 3\n"              \
    "  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]\nprojection_matrix:\n  rows: 3\n  cols: 4\n"                                \
    "  data: [400.0, 0.0, " cx ", " tx ", 0.0, 400.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]\n"

Test(calibration, ros)
{
    fathom_calibration c = parse(ROS("310.0", "0.0"), ROS("315.0", "-36.0"));
    cr_expect_str_eq(c.format, "ros");
    expect_geometry(&c, 400, 0.09, 5);
    cr_expect(c.has_cameras && c.width == 640);
    cr_expect_float_eq(c.translation[0], -0.09, 1e-12);
    cr_expect(c.camera[0].distortion[1] == 0.1114);
    expect_refused(ROS("310.0", "0.0"), NULL, "calib-right");
    expect_refused(ROS("310.0", "0.0"), ROS("310.0", "36.0"), "swapped");
    expect_refused("camera_matrix:\n  data: [1]\ndistortion_model: equidistant\n", "K: [1]\n", "equidistant");
}

Test(calibration, bad_values)
{
    expect_refused("", NULL, "no calibration");
    expect_refused("\x89PNG\r\n\x1a\n garbage", NULL, "no calibration");
    expect_refused("cam0=[1 0 0; 0 1 0; 0 0 1]\n", NULL, "\"cam1\"");
    expect_refused("cam0=[1 0 0; 0 1 0]\ncam1=[1]\nbaseline=1\n", NULL, "9 were expected");
    expect_refused("cam0=[0 0 1; 0 0 1; 0 0 1]\ncam1=[0 0 1; 0 0 1; 0 0 1]\nbaseline=1\n", NULL, "focal length of 0");
    expect_refused("cam0=[9 0 1; 0 9 1; 0 0 1]\ncam1=[9 0 1; 0 9 1; 0 0 1]\nbaseline=-4\n", NULL, "baseline");
    expect_refused("cam0=[9 0 1; 0 9 1; 0 0 1]\ncam1=[9 0 1; 0 9 1; 0 0 1]\nbaseline=1e999\n", NULL, "finite");
    expect_refused("cam0=[9 0 1; 0 9 1; 0 0 1]\ncam1=[9 0 1; 0 9 1; 0 0 1]\nbaseline=4\nwidth=2.5\n", NULL, "whole");
    expect_refused("P2: 1 2 3\nP3: 1 2 3\n", NULL, "12 were expected");
    expect_refused(CAMERAS, NULL, "R and T");
    expect_refused(CAMERAS MATRIX("R", "3", "3", "1, 0, 0, 0, 1, 0, 0, 0, 2") MATRIX("T", "3", "1", "1, 2, 3"), NULL,
                   "no rotation");
    expect_refused(CAMERAS MATRIX("R", "3", "3", "1, 0, 0, 0, 1, 0, 0, 0, -1") MATRIX("T", "3", "1", "1, 2, 3"), NULL,
                   "no rotation");
    expect_refused(MATRIX("Q", "4", "4", "1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 500, 0, 0, 0, 0"), NULL, "baseline");
}

Test(calibration, does_not_follow_the_locale)
{
    if (!setlocale(LC_ALL, "de_DE.UTF-8")) cr_skip("no German locale here");
    fathom_calibration c = parse(MIDDLEBURY, NULL);
    expect_geometry(&c, 3979.911, 0.193001, 124.343);
}
