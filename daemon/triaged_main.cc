// triaged: the daemon.
int main() { return 0; }
