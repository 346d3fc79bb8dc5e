/** The styles of OpenAPI's parameters. */
export type ParameterStyleName =
  | 'simple'
  | 'label'
  | 'matrix'
  | 'form'
  | 'spaceDelimited'
  | 'pipeDelimited'
  | 'deepObject'
  | 'cookie'

/**
 * How one parameter or field of a form is written: the name of a style, `json` (a parameter with `content`), or what a
 * description says of it.
 */
export type ParameterStyle =
  | ParameterStyleName
  | 'json'
  | (string & {})
  | {
      /** @defaultValue `form` in queries, cookies and forms, `simple` in paths and headers */
      readonly style?: ParameterStyleName | 'json' | (string & {}) | undefined
      /** Each item or member on its own. @defaultValue true for `form` and `cookie`, else false */
      readonly explode?: boolean | undefined
      /** Leaves `:/?@!$'()*,;` as they are; in queries and forms. @defaultValue false */
      readonly allowReserved?: boolean | undefined
      /** The media type of a part of a multipart form. @defaultValue by its value: JSON for an object */
      readonly contentType?: string | undefined
    }

/** Parameters of one place by name. */
export interface ParameterStyles {
  readonly [name: string]: ParameterStyle
}

/** What the types of one operation cannot say at run time. */
export interface OperationDescription {
  readonly path?: ParameterStyles | undefined
  /** With a body, every name of the query; else those that are not written as a query is without a description. */
  readonly query?: ParameterStyles | undefined
  /** Every header parameter. */
  readonly header?: ParameterStyles | undefined
  /** Every cookie parameter. */
  readonly cookie?: ParameterStyles | undefined
  /** By media type, the default first; the fields of forms. @defaultValue JSON for POST, PUT and PATCH, none for others */
  readonly body?: { readonly [mediaType: string]: ParameterStyles } | undefined
  /** The body is sent even where nothing of it was passed. @defaultValue false */
  readonly isBodyRequired?: boolean | undefined
}

/** A description for run time, by method and path (`POST /orders/{id}`), made by `describe()` of `polywire/openapi`. */
export interface Description {
  readonly [operation: string]: OperationDescription
}
