/** As much of a browser's page as libraries for browsers ask for when they are imported in Node. */
const document = Object.assign(new EventTarget(), { hidden: false, visibilityState: 'visible' })
Object.assign(globalThis, { window: globalThis, document })
