# What R's coda and posterior say about chains that tests/stats/chains.h makes with the same bits.
#
# Usage: Rscript tools/golden/diagnostics.R > tests/golden/diagnostics/reference.csv
# Made with R 4.2.2, coda 0.19-4, posterior 1.4.0 (Debian: r-base-core r-cran-coda r-cran-posterior).
#
# The chains need only +, -, *, / and floor, in this order, so they are the same numbers in every language:
#   s <- 48271 s mod (2^31 - 1) from s = 1, once for all kinds; u = s / (2^31 - 1); e = u1 + ... + u12 - 6.
suppressPackageStartupMessages({library(coda); library(posterior)})

state <- 1
uniform <- function() { state <<- (48271 * state) %% 2147483647; state / 2147483647 }
noise <- function() { sum <- 0; for (i in 1:12) sum <- sum + uniform(); sum - 6 }

kinds <- list(
  iid = function(chain, n) sapply(1:n, function(t) noise()),
  ar09 = function(chain, n) { x <- 0; sapply(1:n, function(t) { x <<- 0.9 * x + noise(); x }) },
  # chains that sit in different places
  shifted = function(chain, n) { x <- 0; sapply(1:n, function(t) { x <<- 0.5 * x + noise(); x + 0.5 * chain }) },
  # a loss: three squares of autoregressions above 3
  losslike = function(chain, n) {
    x <- c(0, 0, 0)
    sapply(1:n, function(t) {
      for (k in 1:3) x[k] <<- 0.8 * x[k] + 0.6 * noise()
      3 + (x[1] * x[1] + x[2] * x[2] + x[3] * x[3]) / 200
    })
  },
  # all chains start at the same point and drift to a plateau
  transient = function(chain, n) { d <- 1; sapply(1:n, function(t) { d <<- d * 0.98; 3.5 - d + noise() / 10 }) },
  # few values, an odd number of draws
  ties = function(chain, n) { x <- 0; sapply(1:n, function(t) { x <<- 0.6 * x + noise(); floor(2 * x) }) },
  short = function(chain, n) { x <- 0; sapply(1:n, function(t) { x <<- 0.3 * x + noise(); x }) },
  # never stationary
  walk = function(chain, n) { x <- 0; sapply(1:n, function(t) { x <<- x + noise(); x }) })
sizes <- list(iid = c(4, 500), ar09 = c(4, 500), shifted = c(4, 500), losslike = c(4, 500), transient = c(4, 500),
              ties = c(3, 333), short = c(2, 25), walk = c(3, 205))

say <- function(kind, statistic, chain, value) cat(sprintf("%s,%s,%d,%.17g\n", kind, statistic, chain, as.numeric(value)))
raftery <- function(x, q, r) { m <- raftery.diag(x, q = q, r = r)$resmatrix; if (m[1] == "Error") c(NA, NA, m[2], NA) else m[1, ] }

cat("kind,statistic,chain,value\n")
for (kind in names(kinds)) {
  x <- sapply(1:sizes[[kind]][1], function(chain) kinds[[kind]](chain, sizes[[kind]][2]))
  across <- list(rhat_rank = rhat, rhat_split = rhat_basic, ess_bulk = ess_bulk, ess_tail = ess_tail, ess_mean = ess_mean,
                 ess_sd = ess_sd, mcse_mean = mcse_mean, mcse_sd = mcse_sd)
  for (name in names(across)) say(kind, name, 0, across[[name]](x))
  for (chain in 1:ncol(x)) {
    y <- mcmc(x[, chain])
    say(kind, "sum", chain, sum(y)) # that both made the same numbers
    say(kind, "spectrum0", chain, spectrum0.ar(y)$spec)
    say(kind, "effective_size", chain, effectiveSize(y))
    say(kind, "geweke_z", chain, geweke.diag(y)$z)
    say(kind, "geweke_z_20_40", chain, geweke.diag(y, 0.2, 0.4)$z)
    h <- heidel.diag(y)
    for (k in 1:6) say(kind, paste0("heidel_", c("stest", "start", "pvalue", "htest", "mean", "halfwidth")[k]), chain, h[1, k])
    for (k in 1:4) say(kind, paste0("raftery_median_", c("M", "N", "Nmin", "I")[k]), chain, raftery(y, 0.5, 0.06)[k])
    for (k in 1:4) say(kind, paste0("raftery_tenth_", c("M", "N", "Nmin", "I")[k]), chain, raftery(y, 0.1, 0.04)[k])
    for (lag in c(1, 2, 7)) say(kind, paste0("autocorrelation_", lag), chain, autocorr(y, lags = lag))
  }
}
