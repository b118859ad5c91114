// Loaded into a process before the C library (LD_PRELOAD): writes down what happens to the database file and its WAL, and fails an
// fsync when it is told to. What it writes is read by disk_record.rs beside it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, FAILED_SYNC = 3, TRUNCATE = 4, UNLINK = 5 };
enum { OTHER = -1, DATABASE = 0, WAL = 1 };

struct record { uint32_t op, file; uint64_t offset, length; };

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static int record_fd = -1;
static const char *database, *fail_database, *fail_wal;
// The nth change below a directory fails, once.
static const char *faulty_below, *nth_trigger;
static int nth;

__attribute__((constructor)) static void start(void) {
    database = getenv("RECORDER_DATABASE");
    fail_database = getenv("RECORDER_FAIL_DATABASE");
    fail_wal = getenv("RECORDER_FAIL_WAL");
    faulty_below = getenv("RECORDER_FAULTY_BELOW");
    nth_trigger = getenv("RECORDER_NTH_TRIGGER");
    if (faulty_below) nth = atoi(getenv("RECORDER_NTH"));
    const char *path = getenv("RECORDER_FILE");
    if (path) record_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_faulty(const char *path) {
    if (!faulty_below || strncmp(path, faulty_below, strlen(faulty_below))) return 0;
    pthread_mutex_lock(&order);
    int now = --nth == 0;
    pthread_mutex_unlock(&order);
    if (now) {
        syscall(SYS_unlinkat, AT_FDCWD, nth_trigger, 0);
        errno = EIO;
    }
    return now;
}

static int is_faulty_fd(int fd) {
    if (!faulty_below) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_faulty(path);
}

int rename(const char *from, const char *to) {
    if (is_faulty(to)) return -1;
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int which(const char *path) {
    if (!database) return OTHER;
    size_t length = strlen(database);
    if (strncmp(path, database, length)) return OTHER;
    if (!path[length]) return DATABASE;
    return strcmp(path + length, "-wal") ? OTHER : WAL;
}

static int which_fd(int fd) {
    char link[64], path[4096];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (length < 0) return OTHER;
    path[length] = 0;
    return which(path);
}

static void put(uint32_t op, int file, uint64_t offset, const void *data, uint64_t length) {
    if (record_fd < 0) return;
    int saved = errno;
    struct record record = { op, (uint32_t)file, offset, length };
    syscall(SYS_write, record_fd, &record, sizeof record);
    if (data) syscall(SYS_write, record_fd, data, length);
    errno = saved;
}

ssize_t write(int fd, const void *data, size_t length) {
    int file = which_fd(fd);
    if (is_faulty_fd(fd)) return -1;
    if (file == OTHER) return syscall(SYS_write, fd, data, length);
    pthread_mutex_lock(&order);
    ssize_t done = syscall(SYS_write, fd, data, length);
    // Afterwards: before, a file that is open for appending may be anywhere.
    if (done > 0) put(WRITE, file, lseek(fd, 0, SEEK_CUR) - done, data, done);
    pthread_mutex_unlock(&order);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) {
    int file = which_fd(fd);
    if (is_faulty_fd(fd)) return -1;
    pthread_mutex_lock(&order);
    ssize_t done = syscall(SYS_pwrite64, fd, data, length, at);
    if (done > 0 && file != OTHER) put(WRITE, file, at, data, done);
    pthread_mutex_unlock(&order);
    return done;
}

static int sync_fd(int fd, long call) {
    int file = which_fd(fd);
    if (is_faulty_fd(fd)) return -1;
    if (file == OTHER) return syscall(call, fd);
    pthread_mutex_lock(&order);
    const char *fails = file == WAL ? fail_wal : fail_database;
    int done;
    // Once: the kernel reports a failure once, and the next fsync succeeds. It does so to each open file; the one that makes room in the WAL
    // leaves it to those that commit.
    if (fails && !(fcntl(fd, F_GETFL) & O_APPEND) && !unlink(fails)) {
        put(FAILED_SYNC, file, 0, 0, 0);
        errno = EIO;
        done = -1;
    } else {
        done = syscall(call, fd);
        if (!done) put(SYNC, file, 0, 0, 0);
    }
    pthread_mutex_unlock(&order);
    return done;
}

int fsync(int fd) { return sync_fd(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_fd(fd, SYS_fdatasync); }

int ftruncate64(int fd, off64_t length) {
    int file = which_fd(fd);
    if (is_faulty_fd(fd)) return -1;
    pthread_mutex_lock(&order);
    int done = syscall(SYS_ftruncate, fd, length);
    if (!done && file != OTHER) put(TRUNCATE, file, length, 0, 0);
    pthread_mutex_unlock(&order);
    return done;
}

int unlink(const char *path) {
    int file = which(path);
    int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!done && file != OTHER) {
        pthread_mutex_lock(&order);
        put(UNLINK, file, 0, 0, 0);
        pthread_mutex_unlock(&order);
    }
    return done;
}
