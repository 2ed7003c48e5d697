/* SPDX-License-Identifier: MIT
 * The fathom command: picks a command, and makes sure that nothing it printed was lost. */
#define _POSIX_C_SOURCE 200809L

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "commands.h"
#include "help.h"
#include "message.h"
#include "stream.h"

static int command_help(int argc, char **argv)
{
    if (argc > 1) {
        complain("help takes one command, %d were given; one of: %s", argc, help_commands);
        return EXIT_ARGUMENT;
    }
    return help_print(argc == 1 ? argv[0] : NULL);
}

static int unknown_command(const char *name)
{
    char nearest[40];
    if (args_nearest(name, help_commands, nearest, sizeof nearest))
        complain("unknown command \"%s\"; did you mean \"fathom %s\"?", name, nearest);
    else if (access(name, F_OK) == 0)
        complain("\"%s\" is a file, a command was expected; try: fathom depth %s", name, name);
    else
        complain("unknown command \"%s\", expected is one of: %s", name, help_commands);
    return EXIT_ARGUMENT;
}

static int run_command(int argc, char **argv)
{
    const char *name = argv[1];
    if (strcmp(name, "depth") == 0) return command_depth(argc - 2, argv + 2);
    if (strcmp(name, "info") == 0) return command_info(argc - 2, argv + 2);
    if (strcmp(name, "diff") == 0) return command_diff(argc - 2, argv + 2);
    if (strcmp(name, "merge") == 0) return command_merge(argc - 2, argv + 2);
    if (strcmp(name, "models") == 0) return command_models(argc - 2, argv + 2);
    if (strcmp(name, "stereo") == 0) return command_stereo(argc - 2, argv + 2);
    if (strcmp(name, "align") == 0) return command_align(argc - 2, argv + 2);
    if (strcmp(name, "eval") == 0) return command_eval(argc - 2, argv + 2);
    if (strcmp(name, "bench") == 0) return command_bench(argc - 2, argv + 2);
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return command_help(argc - 2, argv + 2);
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
        printf("fathom %s\n", fathom_version());
        return EXIT_FINE;
    }
    return unknown_command(name);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error with a sentence */
    signal(SIGXFSZ, SIG_IGN); /* and so is a limit on the size of files */
    if (argc < 2) {
        help_usage();
        return EXIT_ARGUMENT;
    }
    int code = run_command(argc, argv);
    if (!stream_stdout_is_good() && code == EXIT_FINE) code = EXIT_FILE;
    return code;
}
