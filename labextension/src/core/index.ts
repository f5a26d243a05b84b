/** The views of runs, without a framework: for JupyterLab's panel and for widgets in notebooks. */
export { ApiError } from './host';
export type { ChangeListener, Host, RunQuery } from './host';
export { jsonTree } from './json-tree';
export { fileUrls, outputsOf, RestHost } from './rest-host';
export type { HostExtras, Requester, Subscriber } from './rest-host';
export { RunView } from './run-view';
export type { RunViewOptions } from './run-view';
export { RunsView } from './runs-view';
export type { RunsViewOptions } from './runs-view';
export { duration, fullTime, shortTime } from './times';
export { RUN_EVENT } from './types';
export type * from './types';
export { hasEnded, isWaiting } from './formatting';
