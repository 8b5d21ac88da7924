#pragma once

#include <sys/types.h>

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "control/json_framer.h"
#include "host/fd.h"

namespace mynah {

// The other side of QmpSession: asks a running machine. Waits for at most half a minute.
class QmpClient {
  public:
    // Connects to the socket and negotiates.
    static Result<QmpClient> connect(const std::string& path);

    // The value a command returned. Error: what the machine says, or that it does not answer.
    Result<nlohmann::json> execute(std::string_view command, const nlohmann::json& arguments);
    // Of the process that serves the socket.
    pid_t server() const;

  private:
    explicit QmpClient(Fd fd) : fd_(std::move(fd)) {}
    Result<nlohmann::json> receive();

    Fd fd_;
    JsonFramer framer_;
};

}  // namespace mynah
