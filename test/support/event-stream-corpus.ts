/** Facts of WHATWG HTML §9.2.6 and of web-platform-tests/eventsource, one line each: name, stream, what is said. */
export const corpus: readonly (readonly [name: string, text: string, said: readonly unknown[]])[] = [
  ['data', 'data: one\n\n', [{ type: 'message', data: 'one' }]],
  ['several lines of data', 'data: YHOO\ndata: +2\ndata: 10\n\n', [{ type: 'message', data: 'YHOO\n+2\n10' }]],
  [
    'data without a space',
    'data:test\n\ndata: test\n\n',
    [
      { type: 'message', data: 'test' },
      { type: 'message', data: 'test' },
    ],
  ],
  ['one leading space is taken away, not two', 'data:  third\n\n', [{ type: 'message', data: ' third' }]],
  ['a tab is no space', 'data:\ttest\rdata: \ndata:test\n\n', [{ type: 'message', data: '\ttest\n\ntest' }]],
  [
    'empty data',
    'data:\n\ndata\ndata\n\ndata:test\n\n',
    [
      { type: 'message', data: '' },
      { type: 'message', data: '\n' },
      { type: 'message', data: 'test' },
    ],
  ],
  ['bare data', 'data\n\n', [{ type: 'message', data: '' }]],
  ['a block without data is no event', 'event: x\n\ndata: y\n\n', [{ type: 'message', data: 'y' }]],
  [
    'the type is of its block only',
    'event:test\ndata:x\n\ndata:x\n\n',
    [
      { type: 'test', data: 'x' },
      { type: 'message', data: 'x' },
    ],
  ],
  ['an empty type is message', 'event: \ndata:data\n\n', [{ type: 'message', data: 'data' }]],
  ['a type that is reset', 'event:a\nevent:\ndata:x\n\n', [{ type: 'message', data: 'x' }]],
  ['field names are case-sensitive', 'Data: x\nDATA: y\ndata: z\n\n', [{ type: 'message', data: 'z' }]],
  [
    'unknown fields',
    'data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n',
    ['comment', { type: 'message', data: 'test\n\ntest' }],
  ],
  [
    'names with prefix, suffix and NUL',
    'data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n',
    [{ type: 'message', data: '\0\n 2\n1\n3\n\n4' }],
  ],
  [
    'comments',
    'data:1\r:\0\n:\r\ndata:2\n:comment\rdata:3\n:data:fail\r:x\ndata:4\n\n',
    ['comment', 'comment', 'comment', 'comment', 'comment', { type: 'message', data: '1\n2\n3\n4' }],
  ],
  [
    'a long comment',
    `data:1\r:${'long string '.repeat(1000)}\ndata:2\n\n`,
    ['comment', { type: 'message', data: '1\n2' }],
  ],
  ['LF, CR and CRLF mixed', 'data:test\r\ndata\ndata:test\r\n\r', [{ type: 'message', data: 'test\n\ntest' }]],
  [
    'CR only',
    'data: a\r\rdata: b\r\r',
    [
      { type: 'message', data: 'a' },
      { type: 'message', data: 'b' },
    ],
  ],
  [
    'CRLF only',
    'data: a\r\n\r\ndata: b\r\n\r\n',
    [
      { type: 'message', data: 'a' },
      { type: 'message', data: 'b' },
    ],
  ],
  ['NUL in data', 'data:\0\n\n', [{ type: 'message', data: '\0' }]],
  [
    'one byte order mark is taken away',
    '\uFEFFdata:1\n\ndata:2\n\n',
    [
      { type: 'message', data: '1' },
      { type: 'message', data: '2' },
    ],
  ],
  ['a second one spoils its line', '\uFEFF\uFEFFdata:1\n\ndata:2\n\n', [{ type: 'message', data: '2' }]],
  [
    'one in the middle spoils its line',
    'data:1\n\n\uFEFFdata:2\n\ndata:3\n\n',
    [
      { type: 'message', data: '1' },
      { type: 'message', data: '3' },
    ],
  ],
  ['what looks like a mangled one is text', 'ï»¿data:1\n\ndata:2\n\n', [{ type: 'message', data: '2' }]],
  ['always UTF-8', 'data:okei ✓ 😀\n\n', [{ type: 'message', data: 'okei ✓ 😀' }]],
  ['an id', 'id: 7\ndata: x\n\n', [{ type: 'message', data: 'x', id: '7', cursor: '7' }]],
  [
    'an id is not of the next event',
    'id: 7\ndata: x\n\ndata: y\n\n',
    [
      { type: 'message', data: 'x', id: '7', cursor: '7' },
      { type: 'message', data: 'y' },
    ],
  ],
  ['the last id of a block', 'id: 1\nid: 2\ndata: x\n\n', [{ type: 'message', data: 'x', id: '2', cursor: '2' }]],
  ['an id without data moves the cursor', 'id: 9\n\n', ['cursor 9']],
  ['and is the cursor of the next event', 'id: 9\n\ndata: x\n\n', [{ type: 'message', data: 'x', cursor: '9' }]],
  [
    'an empty id resets',
    'id: 1\ndata: x\n\nid:\ndata: y\n\nid\n\n',
    [
      { type: 'message', data: 'x', id: '1', cursor: '1' },
      { type: 'message', data: 'y', id: '', cursor: '' },
      'cursor ',
    ],
  ],
  [
    'an id with NUL is ignored',
    'id: a\0b\ndata: x\n\nid:\0\n\nid: \0\n\nid: 1\0\n\nid: \0 2\n\n',
    [{ type: 'message', data: 'x' }],
  ],
  ['an id of any characters', 'id: …\ndata: x\n\n', [{ type: 'message', data: 'x', id: '…', cursor: '…' }]],
  ['retry', 'retry: 03000\n\n', ['retry 3000']],
  ['retry is effective at once', 'retry: 5\n', ['retry 5']],
  [
    'retry with anything but digits is ignored',
    'retry: 1000x\nretry: 1 \nretry: -1\nretry: 1e3\nretry: ٣\nretry:\nretry\n\n',
    [],
  ],
  ['retry of any size', 'retry: 9999999999\nretry: 0\n\n', ['retry 9999999999', 'retry 0']],
  ['an unterminated block is dropped, with its id', 'data: x\nid: 4\n', []],
  [
    'so is an unterminated line',
    'id: 1\ndata: a\n\nid: 2\ndata: b',
    [{ type: 'message', data: 'a', id: '1', cursor: '1' }],
  ],
]
