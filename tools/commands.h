/* SPDX-License-Identifier: MIT
 * The commands. Each takes the arguments after its name and returns the exit code. */
#ifndef TOOLS_COMMANDS_H
#define TOOLS_COMMANDS_H

int command_depth(int argc, char **argv);
int command_info(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_merge(int argc, char **argv);
int command_models(int argc, char **argv);
int command_align(int argc, char **argv);
int command_eval(int argc, char **argv);
int command_stereo(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_bench_stereo(int argc, char **argv);

#endif
