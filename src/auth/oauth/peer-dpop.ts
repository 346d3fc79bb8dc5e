export { calculateThumbprint, generateKeyPair, generateProof } from 'dpop'
