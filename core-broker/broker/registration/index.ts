// Door of the registration with name servers.
export * from './registration-service.ts';
