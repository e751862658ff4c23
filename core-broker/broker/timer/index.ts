// Door of the timer messages.
export * from './timer-service.ts';
