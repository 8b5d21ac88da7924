// Runs a command whose standard input and output are a connection between guest and host.
//   vsock listen PORT COMMAND...    for everybody who connects
//   vsock connect PORT COMMAND...   to the host's PORT
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char* what) {
    perror(what);
    return 1;
}

static int run(int connection, char** command) {
    dup2(connection, 0);
    dup2(connection, 1);
    if (connection > 1) close(connection);
    execvp(command[0], command);
    return fail(command[0]);
}

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    struct sockaddr_vm address;
    memset(&address, 0, sizeof address);
    address.svm_family = AF_VSOCK;
    address.svm_port = (unsigned)strtoul(argv[2], NULL, 10);
    const int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0) return fail("socket");
    if (strcmp(argv[1], "connect") == 0) {
        address.svm_cid = VMADDR_CID_HOST;
        if (connect(fd, (struct sockaddr*)&address, sizeof address) != 0) return fail("connect");
        return run(fd, argv + 3);
    }
    address.svm_cid = VMADDR_CID_ANY;
    if (bind(fd, (struct sockaddr*)&address, sizeof address) != 0) return fail("bind");
    if (listen(fd, 64) != 0) return fail("listen");
    signal(SIGCHLD, SIG_IGN);
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        const int connection = accept(fd, NULL, NULL);
        if (connection < 0) return fail("accept");
        if (fork() == 0) {
            close(fd);
            return run(connection, argv + 3);
        }
        close(connection);
    }
}
