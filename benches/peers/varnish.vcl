# Varnish's built-in rules. The command line gives the storage (malloc: in memory) and one thread pool; a worker thread
# serves one connection at a time, so "one thread" is one core here, to which the process is bound.
vcl 4.1;

backend origin {
    .host = "@ORIGIN_HOST@";
    .port = "@ORIGIN_PORT@";
}
