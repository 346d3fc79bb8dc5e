/** Signs the requests on stdin as AWS's own signer does: its package does not load under the conditions of the tests. */
import { text } from 'node:stream/consumers'
import { Sha256 } from '@aws-crypto/sha256-js'
import { SignatureV4 } from '@smithy/signature-v4'

const { service, credentials, at, request } = JSON.parse(await text(process.stdin))
const signer = new SignatureV4({
  service,
  region: 'eu-central-1',
  credentials,
  sha256: Sha256,
  uriEscapePath: service !== 's3',
})
const body = Buffer.from(request.body, 'base64')
const { headers } = await signer.sign({ ...request, body }, { signingDate: new Date(at) })
process.stdout.write(headers.authorization)
