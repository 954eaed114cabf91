/** Something the machine lacks. */
export class MissingComponent extends Error {
  exitCode = 2
}

/** A step of the set-up that did not work. */
export class SetupFailure extends Error {
  exitCode = 1
}
