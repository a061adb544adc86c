#!/bin/bash
# Deliberate breakages of the estimator, each of which some test must catch. Builds each in a copy, runs the named tests, and
# prints a table; exit code 1 if one survives.
#
#   bash tools/mutants.sh [NAME]        all, or one by name
set -u
cd "$(dirname "$0")/.." || exit 1
copy=${MUTANTS_FOLDER:-build-mutants}
only=${1:-}
rm -rf "$copy/source"
mkdir -p "$copy/source"
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$copy/source" || exit 1
cmake -S "$copy/source" -B "$copy/build" -G Ninja >/dev/null || exit 1
survivors=0

# mutant NAME FILE 'SED SCRIPT' TESTS: breaks FILE, builds and runs TESTS (names of test programs), restores it.
mutant() {
    local name=$1 file=$2 script=$3 tests=$4 caught='' test
    [ -z "$only" ] || [ "$only" = "$name" ] || return
    cp "$file" "$copy/original"
    sed -i "$script" "$copy/source/$file"
    if cmp -s "$copy/original" "$copy/source/$file"; then
        echo "| $name | the change does not apply to $file | **stale** |"
        survivors=$((survivors + 1))
        return
    fi
    # shellcheck disable=SC2086
    if ! ninja -C "$copy/build" $tests >"$copy/log" 2>&1; then
        echo "| $name | does not compile: $file | **stale** |"
        survivors=$((survivors + 1))
        cp "$copy/original" "$copy/source/$file"
        return
    else
        for test in $tests; do
            (cd "$copy/build" && timeout 300 "tests/$test") >"$copy/log" 2>&1 && continue
            caught="$caught${caught:+, }$test: $(grep -aoE 'test_[a-z0-9_]+$' <(grep -a '^\[  FAILED' "$copy/log") | head -n 1)"
        done
    fi
    [ -n "$caught" ] || { caught='**survives**'; survivors=$((survivors + 1)); }
    echo "| $name | \`$file\` | $caught |"
    cp "$copy/original" "$copy/source/$file"
}

echo '| breakage | in | caught by |'
echo '|---|---|---|'
mutant 'draw recorded a step late' src/sgmcmc/sampler.c \
    's/return o->num_burnin_steps + o->num_draws \* o->num_steps_bw_draws;/return o->num_burnin_steps + o->num_draws * o->num_steps_bw_draws + 1;/; s/const int64_t after = step - o->num_burnin_steps;/const int64_t after = step - 1 - o->num_burnin_steps;/' \
    'test_theory_quadratic test_golden_sgld'
mutant 'loss of the minibatch after its own update' src/sampling/chains.c \
    's/^    if (draw \&\& exact \&\& status == RLLC_OK)/    const float *moved = c->state.w;\n    float *none = NULL;\n    if (draw \&\& rllc_potential_loss_and_gradient(all->potential, 1, \&c->member, \&moved, \&loss, \&none, NULL)) loss = 0;\n&/' \
    test_chains
mutant 'burn-in averaged in' src/sgmcmc/sampler.c \
    's/const int64_t after = step - o->num_burnin_steps;/const int64_t after = step;/' test_theory_quadratic
mutant 'init loss of another batch' src/sampling/chains.c \
    's/rllc_potential_prepare(c->potential, stream, b)/rllc_potential_prepare(c->potential, stream, b + 1000)/' test_sampling_results
mutant 'init loss over one batch fewer' src/sampling/chains.c 's/sum \/ (double)batches/sum \/ (double)(batches + 1)/' test_sampling_results
mutant 'noise not scaled by the root of lr' src/sgmcmc/sgld.c 's/\.noise_level = o->noise_level,/.noise_level = o->noise_level * 1.4142,/' \
    test_theory_quadratic
mutant 'drift lr instead of lr / 2' src/sgmcmc/sgld.c 's/{\.lr = o->lr, \.nbeta = o->nbeta, \.localization = o->localization,/{.lr = o->lr, .nbeta = 2 * o->nbeta, .localization = 2 * o->localization,/' \
    test_theory_quadratic
mutant 'localization from 0 instead of w*' src/sgmcmc/sgld.c 's/gradient, s->w0, /gradient, (float[4096]){0}, /' 'test_theory_quadratic test_golden_sgld'
mutant 'localization forgotten' src/sgmcmc/sgld.c 's/\.localization = o->localization,/.localization = 0 * o->localization,/' test_theory_quadratic
mutant 'gradient of another head' src/model/component.c \
    's/p->offset + head \* slice, slice/p->offset + 0 * head * slice, slice/' 'test_golden_sgld test_conformance_lockstep'
mutant 'noise addressed by place, not by parameter' src/sgmcmc/noise.c 's/offset + (uint64_t)s->spans\[i\]\.first/offset/' 'test_conformance_sampling test_samplers_state'
mutant 'ddof 0' src/llc/estimate.c 's/const int64_t freedom = e->settings->population_sd ? n : n - 1;/const int64_t freedom = n;/' 'test_llc test_theory_quadratic'
mutant 'nbeta per batch' src/sampling/estimate.c 's/{\.nbeta = nbeta, /{.nbeta = nbeta \/ 32, /' test_sampling_results
mutant 'baseline of another minibatch' src/sampling/chains.c 's/c->record\[RLLC_RECORD_BASELINE\]\[c->n_draws\] = baseline;/c->record[RLLC_RECORD_BASELINE][c->n_draws] = 0 * baseline + c->init_loss;/' \
    'test_sampling_results test_conformance_grid'
mutant 'diverged chains averaged in' src/llc/estimate.c 's/if (trace->diverged || trace->n_draws <= 0) return NAN;/if (trace->n_draws <= 0) return NAN;/' test_llc
mutant 'errors blind to shared minibatches' src/llc/estimate.c 's/(double)(m \* m) \* spectrum/(double)m * spectrum/' test_llc_gaussian
mutant 'errors without autocorrelation' src/llc/estimate.c 's/RLLC_TRY(rllc_spectrum0_ar(e->series, draws, &spectrum));/&; spectrum *= 0;/' test_llc_gaussian
mutant 'Leimkuhler-Matthews noise not averaged' src/sgmcmc/noise.c 's/0\.5f/0.70710678f/' test_theory_samplers_linear
mutant 'Metropolis accepts everything' src/sgmcmc/metropolis.c 's/accepted = log(/accepted = -1e300 * log(/; s/< -s->scalar\[RLLC_METROPOLIS_ENERGY_ERROR\]/> -1/' test_theory_samplers_exact
mutant 'curvature from one side' src/sampling/curvature.c 's/y\[k\]\[i\] += up\[i\] - down\[i\]/y[k][i] += up[i] - 0 * down[i]/' test_curvature
mutant 'verdict blind to heating' src/llc/diagnose.c 's/o->nbeta \* dot + /0 * dot + /; s/squares \/ (double)n) \/ (double)e->dim/squares \/ (double)n) \/ (double)(2 * e->dim)/' test_diagnose
# Second derivatives: one term of one tangent at a time.
hessian='test_hessian test_golden_hessian'
mutant 'tangent of the scores without k' src/model/tangent_attention.c 's/    outer(t, queries(t, t->qkv), t->ld, qkv1 + t->d, t->ld, t->scale, 1, t->A1);//' "$hessian"
mutant 'tangent of dq without that of k' src/model/tangent_attention.c 's/gather(t, t->dS, k1, t->scale, 1/gather(t, t->dS, k1, 0 * t->scale, 1/' "$hessian"
mutant 'tangent of dk without that of q' src/model/tangent_attention.c 's/    spread(t, t->dS, queries(t, qkv1), t->ld, t->scale, dk1);//' "$hessian"
mutant 'tangent of dv without that of the weights' src/model/tangent_attention.c 's/    spread(t, t->A1, t->dz, t->ldz, 1, dv1);//' "$hessian"
mutant 'tangent of dA without that of v' src/model/tangent_attention.c 's/qkv1 + 2 \* t->d, t->ld, 1, 1, t->dS1/qkv1 + 2 * t->d, t->ld, 0, 1, t->dS1/' "$hessian"
mutant 'LayerNorm without the tangent of its scale' src/model/tangent_norm.c 's/out\[i\] += (float)(s1 \* rest + /out[i] += (float)(0 * s1 * rest + /' "$hessian"
mutant 'LayerNorm gain without the tangent of xhat' src/model/tangent_norm.c 's/ + (double)dy\[i\] \* xhat1);/ + 0 * xhat1);/' "$hessian"
mutant 'softmax without its mean' src/model/tangent_backward.c 's/double mean = (double)l\[y\];/double mean = 0 * (double)l[y];/' "$hessian"
mutant 'unembedding without the tangent of what it reads' src/model/tangent_backward.c 's/x->nf + first \* C, C, delta, V, 1\.0F, g/x->nf + first * C, C, delta, V, 0.0F, g/' "$hessian"
mutant 'positions without their own tangent' src/model/hessian.c 's/if (s->plan\.W_pos) add_positions(s, d);/if (s->n < 0) add_positions(s, d);/' "$hessian"
mutant 'positions without that of their weights' src/model/hessian.c 's/if (s->plan\.W_pos) add_positions_product(/if (0) add_positions_product(/' "$hessian"
mutant 'output map without its tangent' src/model/tangent_backward.c 's/    if (s->p->W_O)$/    if (0)/' "$hessian"
mutant 'Fisher labels not drawn' src/model/fisher.c 's/below <= u; below/below <= 0 * u; below/' test_fisher
mutant 'Fisher predictions with replacement' src/model/fisher.c 's/rllc_permute((uint64_t)i, /rllc_permute((uint64_t)(i \/ 2), /' test_fisher
mutant 'residuals from the wrong end' src/stats/lanczos.c 's/d\[i\] = l->alpha\[k - 1 - i\]/d[i] = l->alpha[i]/; s/e\[i\] = l->beta\[k - 2 - i\]/e[i] = l->beta[i]/' test_probes
mutant 'counts by sign' src/stats/probes.c 's/return fabs(x) > /return x > /' test_probes
rm -f "$copy/original" "$copy/log"
[ $survivors = 0 ] || { echo "$survivors survive" >&2; exit 1; }
