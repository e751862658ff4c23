// Door of switchover (L4): the controller of planned and forced switches, its plan table, the control
// store and the sections of dr.yaml that belong to it.
export * from './config.ts';
export * from './control-store/index.ts';
export * from './gateway/index.ts';
