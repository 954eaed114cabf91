import type { HaltRule, LaunchPair, LaunchTally } from '@capstan/migrations'

/** What the numbers say: `statistic` is the larger of the two logarithms, `threshold` what it has to reach. */
export type Judgement = LaunchPair & {
  halt: boolean
  statistic: number
  threshold: number
  /** Logarithms of the evidence that the candidate is worse than the control, and that it is beyond the ceiling. */
  againstControl: number
  againstCeiling: number
}

/**
 * A test that may be looked at after every launch, for ever: the chance that it ever halts a rollout which is no worse
 * than its control by more than the tolerance, nor beyond the ceiling, is at most `falseAlarms`.
 *
 * Each half is a mixture likelihood ratio. The numerator mixes all failure rates (Beta ½, ½, for candidate and control
 * each), the denominator is the likelihood at the best rates that the hypothesis allows. Under the hypothesis the
 * ratio is at most a martingale of mean 1, whatever the order and the pace in which launches are reported, so by
 * Ville's inequality it ever reaches 1/a with a chance of at most a (Wasserman, Ramdas, Balakrishnan, Universal
 * inference, PNAS 2020; Robbins 1970 for the mixture). Each half has half of the false alarms.
 */
export function judgeLaunches({ candidate, control }: LaunchPair, rule: HaltRule): Judgement {
  const threshold = Math.log(2 / rule.falseAlarms)
  const againstControl =
    mixture(candidate) + mixture(control) - bestWithin({ candidate, control }, Math.max(0, rule.tolerance))
  const againstCeiling = mixture(candidate) - logLikelihood(candidate, Math.min(rateOf(candidate), rule.ceiling))
  const statistic = Math.max(againstControl, againstCeiling)
  return { candidate, control, halt: statistic >= threshold, statistic, threshold, againstControl, againstCeiling }
}

const rateOf = ({ confirmed, failed }: LaunchTally): number => (failed === 0 ? 0 : failed / (confirmed + failed))

function logLikelihood({ confirmed, failed }: LaunchTally, rate: number): number {
  const losses = failed === 0 ? 0 : failed * Math.log(rate)
  const wins = confirmed === 0 ? 0 : confirmed * Math.log1p(-rate)
  return losses + wins
}

/** The logarithm of the likelihood averaged over all rates: B(failed + ½, confirmed + ½) / B(½, ½). */
function mixture({ confirmed, failed }: LaunchTally): number {
  return logGamma(failed + 0.5) + logGamma(confirmed + 0.5) - logGamma(failed + confirmed + 1) - Math.log(Math.PI)
}

/** The largest log-likelihood with a candidate rate of at most the control's plus the tolerance. */
function bestWithin({ candidate, control }: LaunchPair, tolerance: number): number {
  const [ours, theirs] = [rateOf(candidate), rateOf(control)]
  if (control.confirmed + control.failed === 0 || ours <= theirs + tolerance) {
    return logLikelihood(candidate, ours) + logLikelihood(control, theirs)
  }
  // The best pair lies on the edge, where the candidate's rate is the control's plus the tolerance; it is concave there.
  const at = (rate: number) => logLikelihood(control, rate) + logLikelihood(candidate, Math.min(1, rate + tolerance))
  let [low, high] = [theirs, Math.min(ours - tolerance, 1 - tolerance)]
  for (let round = 0; round < 100 && high - low > 1e-12; round += 1) {
    const [left, right] = [low + (high - low) / 3, high - (high - low) / 3]
    if (at(left) < at(right)) low = left
    else high = right
  }
  return at((low + high) / 2)
}

/** ln Γ(x) for x ≥ ½, to about 1e-13: Stirling's series above 10, the recurrence below. */
function logGamma(x: number): number {
  let [value, shift] = [x, 0]
  while (value < 10) {
    shift += Math.log(value)
    value += 1
  }
  const square = 1 / (value * value)
  const series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680)))) / value
  return (value - 0.5) * Math.log(value) - value + 0.5 * Math.log(2 * Math.PI) + series - shift
}
