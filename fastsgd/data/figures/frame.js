// Runs in the page around a moving figure: fits its height, passes on dark or light, and takes the still picture away
(() => {
  const dark = e => {
    const named = document.documentElement.dataset.theme || document.body.dataset.theme
    if (named === 'dark' || named === 'light') return named === 'dark'
    if (document.body.matches('.vscode-dark, .vscode-high-contrast:not(.vscode-high-contrast-light)')) return true
    for (; e; e = e.parentElement) {
      const [r, g, b, a = 1] = getComputedStyle(e).backgroundColor.match(/[\d.]+/g).map(Number)
      if (a > 0.5) return 0.3*r + 0.6*g + 0.1*b < 128
    }
    return false
  }
  const hideStill = e => {
    for (let i = 0; e && i < 8; i++, e = e.parentElement) {
      const before = e.previousElementSibling
      if (before && (before.matches('img') || before.querySelector('img')) && !before.textContent.trim()) {
        before.style.display = 'none'
        return
      }
    }
  }
  for (const frame of document.querySelectorAll('iframe[data-moving="NAME"]:not([data-on])')) {
    frame.dataset.on = 'yes'
    // A dark site puts a light ground under HTML that may be black on nothing; this has a ground of its own
    frame.closest('.text_html')?.style.setProperty('background', 'none', 'important')
    const tell = () => frame.contentWindow?.postMessage({theme: dark(frame.parentElement) ? 'dark' : 'light'}, '*')
    addEventListener('message', e => {
      if (e.source !== frame.contentWindow || !e.data || !Number.isFinite(e.data.moving)) return
      frame.style.height = Math.min(3000, e.data.moving + 2) + 'px'
      if (frame.dataset.on === 'runs') return
      frame.dataset.on = 'runs'
      frame.previousElementSibling.style.display = 'none' // where it moves, nobody needs to be told where else it does
      hideStill(frame)
      tell()
    })
    frame.addEventListener('load', tell)
    const watch = new MutationObserver(tell)
    for (const e of [document.documentElement, document.body]) watch.observe(e, {attributes: true})
    tell()
  }
})()
