#pragma once

#include <sys/fsuid.h>
#include <sys/types.h>
#include <unistd.h>

namespace mynah {

// While it lives this thread makes files as the guest's user, if the process is root; else it can
// only be itself. The kernel then checks the user's rights as well: fsuid and fsgid are the
// thread's own.
class GuestCredentials {
  public:
    GuestCredentials(uid_t user, gid_t group) : root_(geteuid() == 0) {
        if (!root_) return;
        ::setfsgid(group);
        ::setfsuid(user);
    }
    ~GuestCredentials() {
        if (!root_) return;
        ::setfsuid(geteuid());
        ::setfsgid(getegid());
    }
    GuestCredentials(const GuestCredentials&) = delete;
    GuestCredentials& operator=(const GuestCredentials&) = delete;

  private:
    const bool root_;
};

}  // namespace mynah
