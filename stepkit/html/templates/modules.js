// The part of require.js that plots with their library inside use: define, require, undef.
(function () {
  var known = {}, waiting = {};
  function load(name) {
    if (!(name in known) && name in waiting) {
      var module = { exports: {} }, made = waiting[name];
      known[name] = module.exports;
      var value = typeof made.factory !== "function" ? made.factory
        : made.needs ? made.factory.apply(null, made.needs.map(function (need) {
            return need === "require" ? require : need === "exports" ? module.exports
              : need === "module" ? module : load(need);
          }))
        : made.factory(require, module.exports, module);
      known[name] = value === undefined ? module.exports : value;
    }
    if (!(name in known)) throw new Error("this page loads nothing: no module " + name);
    return known[name];
  }
  function require(needs, then, failed) {
    if (typeof needs === "string") return load(needs);
    if (!Array.isArray(needs)) return require;
    try {
      var modules = needs.map(load);
    } catch (error) {
      if (failed) failed(error); else console.error(error.message);
      return undefined;
    }
    if (then) then.apply(null, modules);
    return undefined;
  }
  require.undef = function (name) { delete known[name]; delete waiting[name]; };
  require.config = function () { return require; };
  function define(name, needs, factory) {
    if (typeof name !== "string") return;
    if (factory === undefined) { factory = needs; needs = null; }
    waiting[name] = { needs: needs, factory: factory };
  }
  define.amd = {};
  window.require = window.requirejs = require;
  window.define = define;
})();
