/*
 * fenced: a kernel table whose memory the host cannot touch, as if it were that of a device.
 *
 * It wraps any table that computes on the host. Its memory is one region, closed (PROT_NONE) except while a kernel, an
 * upload or a download runs, and then but for the pages of its arrays: code that reads or writes "device" memory by
 * itself, and a kernel that strays by pages, dies with SIGSEGV. Every array that a kernel is given must lie whole, by
 * the shapes of the call, inside one live allocation: host memory, an array too short, or one released, aborts with
 * "fenced kernels: SLOT: ARGUMENT ...". One thread only.
 */
#ifndef TESTS_FENCED_H
#define TESTS_FENCED_H

#include "rllc/kernels.h"

/** `wrapped`, fenced. There is one fence: another table can be wrapped when nothing is allocated any more. */
const rllc_kernels *rllc_fenced_kernels(const rllc_kernels *wrapped);
/** Allocations that nobody has released. */
int rllc_fenced_live(void);

#endif
