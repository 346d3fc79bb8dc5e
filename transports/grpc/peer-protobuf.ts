export type { DescMessage, DescMethod, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
export { create, fromBinary, toBinary } from '@bufbuild/protobuf'
