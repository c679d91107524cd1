// Linux calls that Swift's Glibc overlay does not show: epoll, eventfd, accept4. Declarations only; CLinux.c has the twins.
#ifndef CLINUX_H
#define CLINUX_H
#endif
