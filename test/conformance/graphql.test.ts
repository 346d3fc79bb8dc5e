import { describeTransport } from './describe-transport.ts'
import { graphql } from './harnesses/graphql.ts'

describeTransport('graphql', graphql)
