/**
 * `node --import …/graphql-17.mjs`: whoever asks for `graphql` is given 17, that servers and libraries do, too. They stand beside
 * graphql 16 in node_modules, so that nothing less than the resolution itself tells them which one to take.
 */
import { registerHooks } from 'node:module'

registerHooks({
  resolve: (specifier, context, next) => next(specifier.replace(/^graphql(?=\/|$)/, 'graphql17'), context),
})
