import { fileDesc, serviceDesc } from '@bufbuild/protobuf/codegenv2'
import type { DescService } from './peer-protobuf.ts'

/**
 * The service grpc.health.v1.Health, as protoc-gen-es describes it: whoever asks for health need not generate it.
 *
 *     service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); rpc Watch(…) returns (stream …) }
 *     message HealthCheckRequest { string service = 1; }
 *     message HealthCheckResponse { ServingStatus status = 1; }
 *     enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
 *
 * Source: https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto
 */
export const healthService: DescService = /* @__PURE__ */ serviceDesc(
  /* @__PURE__ */ fileDesc(
    'ChtncnBjL2hlYWx0aC92MS9oZWFsdGgucHJvdG8SDmdycGMuaGVhbHRoLnYxIiUKEkhlYWx0aENoZWNrUmVxdWVzdBIPCgdzZXJ2aWNlGAEg' +
      'ASgJIqkBChNIZWFsdGhDaGVja1Jlc3BvbnNlEkEKBnN0YXR1cxgBIAEoDjIxLmdycGMuaGVhbHRoLnYxLkhlYWx0aENoZWNrUmVzcG9uc2Uu' +
      'U2VydmluZ1N0YXR1cyJPCg1TZXJ2aW5nU3RhdHVzEgsKB1VOS05PV04QABILCgdTRVJWSU5HEAESDwoLTk9UX1NFUlZJTkcQAhITCg9TRVJW' +
      'SUNFX1VOS05PV04QAzKuAQoGSGVhbHRoElAKBUNoZWNrEiIuZ3JwYy5oZWFsdGgudjEuSGVhbHRoQ2hlY2tSZXF1ZXN0GiMuZ3JwYy5oZWFs' +
      'dGgudjEuSGVhbHRoQ2hlY2tSZXNwb25zZRJSCgVXYXRjaBIiLmdycGMuaGVhbHRoLnYxLkhlYWx0aENoZWNrUmVxdWVzdBojLmdycGMuaGVh' +
      'bHRoLnYxLkhlYWx0aENoZWNrUmVzcG9uc2UwAWIGcHJvdG8z',
  ),
  0,
)
