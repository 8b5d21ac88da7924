#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "control/controlled_machine.h"
#include "host/fd.h"

namespace mynah {

// Answers QMP at a Unix socket, for this user only, on a thread of its own. What a client does
// wrong ends no more than its connection; one that does not read is not read from.
class ControlServer {
  public:
    static constexpr size_t kConnectionsMost = 16;

    // Error: names `origin` and why. The machine outlives the server.
    static Result<std::unique_ptr<ControlServer>> start(const std::string& path,
                                                        const std::string& origin,
                                                        ControlledMachine& machine);
    ~ControlServer();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

  private:
    class Connection;

    ControlServer(std::string path, Fd listener, ControlledMachine& machine);
    void run();
    void accept_one();

    const std::string path_;
    const Fd listener_;
    const Fd wake_;
    ControlledMachine& machine_;
    std::atomic<bool> stop_{false};
    bool accepts_ = true;  // false: the host has no descriptors left just now
    std::list<Connection> connections_;  // only the thread's
    std::thread thread_;
};

}  // namespace mynah
