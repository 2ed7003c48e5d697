/* SPDX-License-Identifier: MIT
 * The words of "fathom help". */
#ifndef TOOLS_HELP_H
#define TOOLS_HELP_H

/* Names of the commands, separated by spaces. */
extern const char help_commands[];

/* The help of a command on stdout, the general one for NULL; an unknown name is complained about.
 * Returns the exit code. */
int help_print(const char *command);

/* The usage in four lines on stderr. */
void help_usage(void);

#endif
