/* rllc: everything. Each room has its own header, which is also its documentation. */
#ifndef RLLC_RLLC_H
#define RLLC_RLLC_H
#include "rllc/base.h"
#include "rllc/checkpoint.h"
#include "rllc/data.h"
#include "rllc/kernels.h"
#include "rllc/llc.h"
#include "rllc/mechinterp.h"
#include "rllc/model.h"
#include "rllc/optim.h"
#include "rllc/plot.h"
#include "rllc/potential.h"
#include "rllc/report.h"
#include "rllc/sampling.h"
#include "rllc/sgmcmc.h"
#include "rllc/stats.h"
#include "rllc/store.h"
#include "rllc/theory.h"
#include "rllc/train.h"
#endif
