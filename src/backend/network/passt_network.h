#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "backend/network/network_backend.h"
#include "base/result.h"

namespace mynah {

// A network behind passt, which gives the guest the host's own addresses without any rights [passt].
// Frames go over a stream as StreamNetwork has it. A passt that was started here ends with it.
class PasstNetwork {
  public:
    // One that runs already and listens at `path`. Error: names `origin` and why.
    static Result<std::unique_ptr<NetworkBackend>> connect(const std::string& path,
                                                           const std::string& origin);
    // Starts one. Error: names `origin`; passt is not installed, or does not start.
    static Result<std::unique_ptr<NetworkBackend>> start(const std::string& origin);
};

}  // namespace mynah
