/**
 * What went wrong, in the sixteen canonical names of google.rpc.Code, whatever the protocol.
 *
 * Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
 */
export type Code =
  | 'canceled'
  | 'unknown'
  | 'invalid_argument'
  | 'deadline_exceeded'
  | 'not_found'
  | 'already_exists'
  | 'permission_denied'
  | 'resource_exhausted'
  | 'failed_precondition'
  | 'aborted'
  | 'out_of_range'
  | 'unimplemented'
  | 'internal'
  | 'unavailable'
  | 'data_loss'
  | 'unauthenticated'
