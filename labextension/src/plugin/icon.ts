import { LabIcon } from '@jupyterlab/ui-components';

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16">
  <g class="jp-icon3 jp-icon-selectable" fill="#616161">
    <path d="M3 5.5a2.5 2.5 0 0 1 4.9-.75H19a2 2 0 0 1 2 2V9a1 1 0 1 1-2 0V6.75H7.7A2.5 2.5 0 0 1 3 5.5z"/>
    <path d="M5.5 9.5a1 1 0 0 1 1 1v7h4a1 1 0 1 1 0 2h-5a1 1 0 0 1-1-1v-8a1 1 0 0 1 1-1z"/>
    <path d="M14 11.5h2.25v9H14zM18.25 11.5h2.25v9h-2.25z"/>
  </g>
</svg>`;

/** The panel's icon: a path with a pause sign. */
export const runsIcon = new LabIcon({ name: 'jupyter-pdflow:runs', svgstr: SVG });
