// Door of acl: accounts, permissions and signatures of client requests (ACL 1.0).
export { addAclHandlers } from './acl-admin.ts';
export { AclBook } from './acl-book.ts';
export { AclGuard } from './acl-guard.ts';
export { openAclBook } from './attach-acl.ts';
export { isDrCode } from './permissions.ts';
