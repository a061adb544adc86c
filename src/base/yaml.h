/* base, internal: making YAML nodes. */
#ifndef RLLC_BASE_YAML_H
#define RLLC_BASE_YAML_H

#include "rllc/base.h"

#define RLLC_YAML_DEEPEST 100     /* nesting of a document: configurations have 5 */
#define RLLC_YAML_LONGEST_KEY 256 /* bytes */

/** A new node without text or children; NULL without memory. */
rllc_yaml *rllc_base_yaml_new(rllc_yaml_kind kind, const char *file, int line);
/** Adds a child (taken over, also on failure); `key` is copied, NULL for a list. No check for duplicates. */
rllc_status rllc_base_yaml_add(rllc_yaml *parent, const char *key, rllc_yaml *child) RLLC_MUST_USE;

#endif
