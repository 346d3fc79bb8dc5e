export { GraphQLClient } from 'graphql-request'
