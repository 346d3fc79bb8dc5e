export { describe } from './openapi/describe.ts'
export { forTypes } from './openapi/for-types.ts'
export { type Described, described } from './rest/described.ts'
export type {
  Description,
  OperationDescription,
  ParameterStyle,
  ParameterStyleName,
  ParameterStyles,
} from './rest/openapi-description.ts'
