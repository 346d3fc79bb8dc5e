/** Issues page by page, by links, with a limit of calls: `node --conditions=polywire-source examples/github-style-rest/index.ts`. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient, isCallError, rateLimiter, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { follow, get, ifNoneMatch, linkPages, post, restTransport } from 'polywire/rest'

interface Issue {
  number: number
  title: string
  comments_url: string
}

/** What GitHub does: pages by Link, ETags, a limit in headers, a 403 once it is reached, 201 with a Location. */
let throttled = 1
const issues = Array.from({ length: 7 }, (_, index) => ({ number: index + 1, title: `issue ${index + 1}` }))

function answer(request: IncomingMessage, response: ServerResponse): unknown {
  const url = new URL(request.url ?? '/', baseUrl)
  const json = (status: number, body: unknown, headers: Record<string, string> = {}): unknown => {
    const limits = { 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '4990' }
    const all = { 'content-type': 'application/json', ...limits, ...headers }
    return response.writeHead(status, all).end(JSON.stringify(body))
  }
  if (request.headers.authorization !== 'Bearer token') return json(401, { message: 'Bad credentials' })
  if (request.method === 'POST') {
    issues.push({ number: issues.length + 1, title: 'made' })
    return json(201, { number: issues.length }, { location: `${baseUrl}/repos/a/b/issues/${issues.length}` })
  }
  const show = (issue: (typeof issues)[number]): Issue => ({
    ...issue,
    comments_url: `${baseUrl}/repos/a/b/issues/${issue.number}/comments`,
  })
  if (url.pathname.endsWith('/comments')) return json(200, [{ body: 'first' }])
  const one = /\/issues\/(\d+)$/.exec(url.pathname)
  if (one) return json(200, show(issues[Number(one[1]) - 1] as (typeof issues)[number]))
  const page = Number(url.searchParams.get('page') ?? 1)
  if (page === 2 && throttled-- > 0)
    return json(403, { message: 'You have exceeded a secondary rate limit' }, { 'retry-after': '0' })
  const etag = `"issues-${issues.length}-${page}"`
  if (request.headers['if-none-match'] === etag) return response.writeHead(304, { etag }).end()
  const size = Number(url.searchParams.get('per_page') ?? 3)
  const next = `<${baseUrl}${url.pathname}?per_page=${size}&page=${page + 1}>; rel="next"`
  return json(200, issues.slice((page - 1) * size, page * size).map(show), {
    etag,
    ...(page * size < issues.length && { link: next }),
  })
}

const server = createServer(answer)
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const client = createClient({
  transports: { rest: restTransport({ baseUrl, headers: { accept: 'application/vnd.github+json' } }) },
  auth: bearerAuth('token'),
  limiter: rateLimiter(),
})
const gh = client.bind({
  issues: get('/repos/{owner}/{repo}/issues', {
    query: type<{ per_page?: number }>(),
    output: type<Issue[]>(),
    paginate: linkPages(),
  }),
  issue: get('/repos/{owner}/{repo}/issues/{number}', { output: type<Issue>() }),
  create: post('/repos/{owner}/{repo}/issues', { body: type<{ title: string }>() }),
  comments: get('/repos/{owner}/{repo}/issues/{number}/comments', { output: type<{ body: string }[]>() }),
})
const repo = { owner: 'a', repo: 'b' }

// Page after page, by the header Link; a throttled page is asked for again.
const titles: string[] = []
for await (const { title } of gh.issues.items({ ...repo, per_page: 3 }, { prefetch: 1 })) titles.push(title)
console.log(`read ${titles.length} issues: ${titles[0]} to ${titles.at(-1)}`)

// A list that has not changed costs no quota.
const known = await gh.issues.reply(repo)
const again = await gh.issues.reply(repo, ifNoneMatch(known))
console.log(`asked again: ${again.status}, ${again.message.length} issues as before`)

// What was made, and what it links to.
const made = await gh.issue.reply(follow(await gh.create.reply({ ...repo, title: 'made' })))
const comments = await gh.comments(follow(made, 'comments_url'))
console.log(`made issue ${made.message.number}; comments: ${comments.map(({ body }) => body).join(', ')}`)

const wrong = createClient({ transports: { rest: restTransport({ baseUrl }) } })
const error = await wrong.call(get('/user')).catch((thrown: unknown) => thrown)
if (isCallError(error)) console.log(`without a token: ${error.code}, the server says: ${error.serverMessage}`)

await Promise.all([client.close(), wrong.close()])
server.close()
