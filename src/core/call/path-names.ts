/** What may stand in a path: written as text, percent-encoded. */
export type PathValue = string | number | bigint

/** The names in a template: `'id'` of `/users/{id}`. */
export type PathNames<P extends string> = string extends P
  ? string
  : P extends `${string}{${infer Name}}${infer Rest}`
    ? Name | PathNames<Rest>
    : never
