/* SPDX-License-Identifier: MIT
 * Calibration files as a table: all formats are names with numbers (entries.c); what the names mean is
 * calibration.c's. */
#ifndef FM_CALIBRATION_H
#define FM_CALIBRATION_H

#include "base/status.h"

enum { FM_ENTRIES = 96, FM_ENTRY_NAME = 40, FM_ENTRY_VALUES = 16 };

struct fm_entry {
    char name[FM_ENTRY_NAME];
    int count; /* of values; more than FM_ENTRY_VALUES: there were more than are kept */
    double value[FM_ENTRY_VALUES];
};

struct fm_entries {
    const char *file; /* borrowed, for messages */
    int count;
    struct fm_entry entry[FM_ENTRIES];
    char model[FM_ENTRY_NAME]; /* the value of ROS' distortion_model */
};

/* Lines of "name: numbers" or "name=numbers", YAML's matrices, or XML. What has no numbers, and names after the
 * first FM_ENTRIES, are left out. */
void fm_entries_parse(struct fm_entries *entries, const char *file, const char *text, size_t size);

#endif
